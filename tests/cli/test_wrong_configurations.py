"""Wrong configurations: each is told in one message, and `config check` and `serve` say the same.

A message names the key, the value and what is allowed.
"""

from __future__ import annotations

import json
import shlex
import signal
import socket
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
import trio

from carillon.access.keys import draw_key
from carillon.messages.model import Document, JsonValue
from carillon.settings import key_record
from carillon.stores.sqlite.database import SCHEMA_VERSION, only_server, open_store
from tests.cli.command_line import SCRIPT, clean_environment, invoke, script, started

SMS: Document = {"activeChannels": ["sms"], "sender": {"sms": "Shop"}}
PUSH: Document = {"activeChannels": ["push"]}
FLOW: Document = {"metadataSchema": {"channels": "channels"}, "serviceUrl": "http://flow"}


def sms(**keys: JsonValue) -> Document:
    return {**SMS, **keys}


def provider(**keys: JsonValue) -> Document:
    return sms(providers={"sms-service": keys})


def flow(**keys: JsonValue) -> Document:
    return sms(flowManagerConfiguration={**FLOW, **keys})


_, KEY = draw_key("shop", ["send"])
TWO_IDS = json.dumps([key_record(KEY)]).replace('"id":', '"id": "till", "id":')


@dataclass(frozen=True)
class Wrong:
    """A file, the environment besides, and what the message must hold."""

    file: Document | str
    parts: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)


def wrong(file: Document | str, *parts: str, **environ: str) -> Wrong:
    return Wrong(file, parts, environ)


TABLE = [
    # the file itself
    wrong("", "{file}", "line 1, column 1", "not JSON"),
    wrong('{"activeChannels": ["sms"],}', "{file}", "line 1, column 28", "not JSON"),
    wrong("[]", "the file", "must be a JSON object"),
    wrong('{"drain": NaN}', "{file}", "NaN is no number"),
    wrong("[" * 60 + "]" * 60, "{file}", "nested deeper than 50 levels"),
    wrong(json.dumps(SMS)[:-1] + ', "drain": "1s", "drain": "2s"}', "drain", "twice", "once is"),
    wrong(
        json.dumps(SMS)[:-1] + ', "providers": {"a": {"type": "sandbox", "type": "sandbox"}}}',
        "providers.a.type",
        "twice",
        "once is allowed",
    ),
    # what is sent, and from whom
    wrong({}, "activeChannels", "is missing", "a list that is not empty"),
    wrong(sms(activeChannels="sms"), "activeChannels", '"sms"', "a list that is not empty"),
    wrong(sms(activeChannels=["sms", "fax"]), "activeChannels[1]", '"fax"', "one of email, sms"),
    wrong(sms(sender={}), "sender.sms", "is missing", "sms is active and needs it"),
    wrong(sms(sender={"sms": 5}), "sender.sms", "5", "a text"),
    wrong(sms(sender={"sms": "a\nb"}), "sender.sms", '"a\\nb"', "without control characters"),
    wrong(
        {"activeChannels": ["email"], "sender": {"email": "shop"}},
        "sender.email",
        '"shop"',
        "an email address, bare or as `Name <address>`",
        MAIL_SERVICE_NAME="mail",
    ),
    wrong(sms(userFields={"id": ""}), "userFields.id", '""', "not empty"),
    wrong(sms(escaping="never"), "escaping", '"never"', "one of html, everywhere"),
    # providers and channels
    wrong(provider(concurrency=0), "providers.sms-service.concurrency", "0", "from 1 to 10000"),
    wrong(provider(concurrency="20"), "providers.sms-service.concurrency", '"20"', "whole number"),
    wrong(provider(concurency=5), "providers.sms-service.concurency", "unknown", '"concurrency"'),
    wrong(provider(rate="100"), "providers.sms-service.rate", '"100"', '"100/1m"'),
    wrong(provider(rate=["9/1y"]), "providers.sms-service.rate[0]", '"9/1y"', '"100/1m"'),
    wrong(provider(rate=[{"limit": 1}]), "sms-service.rate[0].per", "is missing", "such as"),
    wrong(provider(rate={"limit": 1}), "providers.sms-service.rate", "an object", "a list"),
    wrong(provider(quota={"limit": 1, "zone": "Rome"}), "quota.zone", '"Rome"', '"Europe/Rome"'),
    wrong(provider(quota={"limit": 1, "resetAt": "9"}), "quota.resetAt", '"9"', '"00:00"'),
    wrong(provider(timeout=30), "providers.sms-service.timeout", "30", '"30s"'),
    wrong(provider(timeout="0s"), "providers.sms-service.timeout", '"0s"', "above zero"),
    wrong(provider(retry={"attempts": 101}), "retry.attempts", "101", "from 1 to 100"),
    wrong(provider(retry={"firstDelay": "2m"}), "retry", "an object", "at most its maxDelay"),
    wrong(provider(breaker={"failures": -1}), "breaker.failures", "-1", "from 1 to"),
    wrong(provider(onUnknownOutcome="drop"), "onUnknownOutcome", '"drop"', "one of hold, retry"),
    wrong(provider(type="smpp"), "providers.sms-service.type", '"smpp"', "one of mail-service"),
    wrong(provider(url="sms:8080"), "providers.sms-service.url", '"sms:8080"', "http://"),
    wrong(provider(url="http://host/#q"), "providers.sms-service.url", '"http://host/#q"', "fragm"),
    wrong(
        provider(url="http://h/?hunter2#q"), "providers.sms-service.url", "not shown", "fragment"
    ),
    wrong(provider(url=""), "providers.sms-service.url", '""', "http://"),
    wrong(provider(credentials={"apiKey": "k"}), "credentials.apiKey", "does not know", "none"),
    wrong(sms(providers={"a b": {"type": "sandbox"}}), "providers.a b", "1 to 64 letters"),
    wrong(sms(providers={"backup": {}}), "providers.backup.type", "is missing", "known here"),
    wrong(
        sms(channels={"sms": {"providers": ["sms-servce"]}}),
        "channels.sms.providers[0]",
        '"sms-servce" is not a provider',
        'did you mean "sms-service"',
    ),
    wrong(
        sms(channels={"sms": {"providers": ["mail-service"]}}),
        "channels.sms.providers[0]",
        '"mail-service" cannot carry sms',
        "carries email",
    ),
    wrong(
        sms(channels={"sms": {"providers": ["sms-service", "sms-service"]}}),
        "channels.sms.providers[1]",
        '"sms-service" stands there twice',
        "once is allowed",
    ),
    wrong(sms(channels={"fax": {}}), "channels.fax", "unknown key", "email, push, sms, voice"),
    wrong(sms(channels={"sms": {"timeToLive": 0}}), "sms.timeToLive", "0", "above zero"),
    wrong(sms(), "channels.sms.providers", "nobody carries sms", "set SMS_", SMS_SERVICE_NAME=""),
    wrong(
        sms(
            providers={"backup": {"type": "sms-service"}},
            channels={"sms": {"providers": ["backup"]}},
        ),
        "providers.backup.url",
        "is missing",
        "set it or SMS_SERVICE_NAME or SMS_SERVICE_URL",
        SMS_SERVICE_NAME="",
    ),
    wrong(
        {"activeChannels": ["voice"], "sender": {"voice": "+39021234567"}},
        "providers.kaleyra.url",
        "is missing",
        "KALEYRA_API_BASE_URL",
        KALEYRA_API_KEY="key",
        KALEYRA_SID="sid",
    ),
    wrong(
        {
            "activeChannels": ["email"],
            "sender": {"email": "a@b.it"},
            "channels": {"email": {"providers": ["mail-service"]}},
        },
        "providers.mail-service.url",
        "is missing",
        "set it or MAIL_SERVICE_NAME or MAIL_SERVICE_URL",
    ),
    # the service
    wrong(sms(respondWithin="-1s"), "respondWithin", '"-1s"', '"30s"'),
    wrong(sms(limits={"bodyBytes": 0}), "limits.bodyBytes", "0", "from 1 to"),
    wrong(sms(directory={"attempts": 0}), "directory.attempts", "0", "from 1 to 100"),
    wrong(sms(journal={"fsync": "no"}), "journal.fsync", '"no"', "one of commit, process"),
    wrong(sms(templates={"depth": 1}), "templates.depth", "unknown key", "known here"),
    # sagas and Kafka
    wrong(
        sms(flowManagerConfiguration={"metadataSchema": {}}),
        "metadataSchema.channels",
        "is missing",
        "a text that is not empty or a list",
    ),
    wrong(flow(successPolicy=2), "successPolicy", "2", '"started", "all", "any" or a share'),
    wrong(flow(serviceUrl="flow/path"), "serviceUrl", '"flow/path"', "a host name"),
    wrong(
        flow(kafka={"eventsTopic": "e"}),
        "flowManagerConfiguration.kafka.eventsTopic",
        "leave this out, or serviceUrl",
        KAFKA_BROKERS="a:9092",
    ),
    wrong(
        flow(kafka={}), "flowManagerConfiguration.kafka", "needs commandsTopic", KAFKA_BROKERS="a:1"
    ),
    wrong(PUSH, "KAFKA_BROKERS", "is missing", "needs it", KAFKA_TOPICS="push"),
    wrong(PUSH, "KAFKA_BROKERS", '"a"', "`host:port`", KAFKA_TOPICS="t", KAFKA_BROKERS="a"),
    wrong(PUSH, "KAFKA_BROKERS", '"a:99999"', "65535", KAFKA_TOPICS="t", KAFKA_BROKERS="a:99999"),
    wrong(
        PUSH,
        "KAFKA_AUTH_MECHANISM",
        '"GSSAPI"',
        "one of PLAIN",
        KAFKA_TOPICS="t",
        KAFKA_BROKERS="a:1",
        KAFKA_AUTH_MECHANISM="GSSAPI",
    ),
    wrong(
        PUSH,
        "GOOGLE_APPLICATION_CREDENTIALS",
        "names no file that exists",
        GOOGLE_APPLICATION_CREDENTIALS="/nowhere.json",
    ),
    # the environment
    wrong(sms(), "HTTP_PORT", '"x"', "from 0 to 65535", HTTP_PORT="x"),
    wrong(sms(), "HTTP_HOST", '"localhost:1"', "without port", HTTP_HOST="localhost:1"),
    wrong(sms(), "HTTP_HOST", '"no.invalid"', "leads to an IPv4 address", HTTP_HOST="no.invalid"),
    wrong(sms(), "HTTP_H2C", '"yes"', "true or false", HTTP_H2C="yes"),
    wrong(sms(), "LOG_LEVEL", '"loud"', "one of trace, debug", LOG_LEVEL="loud"),
    wrong(sms(), "SERVICE_PREFIX", '"/-"', "outside of /-", SERVICE_PREFIX="/-"),
    wrong(
        sms(),
        "WAIT_BEFORE_SERVER_CLOSE_SEC",
        '"-1"',
        "0 to 3600",
        WAIT_BEFORE_SERVER_CLOSE_SEC="-1",
    ),
    wrong(sms(), "SSL_CERT_FILE", '"/no.pem"', "a PEM file", SSL_CERT_FILE="/no.pem"),
    wrong(sms(), "SSL_CERT_DIR", '"/no"', "a folder that exists", SSL_CERT_DIR="/no"),
    wrong(sms(), "DEFAULT_LOCALE", '"it_IT.UTF-8"', '"en-US"', DEFAULT_LOCALE="it_IT.UTF-8"),
    wrong(sms(), "FILES_DIRECTORY", '"/no"', "a folder that exists", FILES_DIRECTORY="/no"),
    wrong(sms(), "FILE_SERVICE_URL", '"files"', "an http:// or", FILE_SERVICE_URL="files"),
    wrong(sms(), "SMS_SERVICE_NAME", '"a/b"', "a host name", SMS_SERVICE_NAME="a/b"),
    wrong(sms(), "USERS_CRUD_NAME", "is missing", "needs it", CRUD_SERVICE_NAME="crud"),
    wrong(sms(), "USERS_CRUD_NAME", '"people"', "CRUD_SERVICE_NAME", USERS_CRUD_NAME="people"),
    wrong(sms(), "TEMPLATES_CRUD_NAME", '"t"', "CRUD_SERVICE_URL", TEMPLATES_CRUD_NAME="t"),
    wrong(sms(), "STORE_URL", '"carillon.db"', "sqlite:///", STORE_URL="carillon.db"),
    wrong(sms(), "STORE_URL", "not shown", "mongodb://host", STORE_URL="mongodb://u:hunter2/db"),
    wrong(sms(), "API_KEYS", "must be a JSON array", API_KEYS="key.hunter2"),
    wrong(sms(), "API_KEYS[0].id", "twice", "once is", API_KEYS=TWO_IDS),
    wrong(sms(), "API_KEYS_FILE", "must name a file that can be read", API_KEYS_FILE="/no.json"),
    wrong(sms(), "OPERATOR_TOKEN_FILE", '"/no/t"', "a folder that", OPERATOR_TOKEN_FILE="/no/t"),
    wrong(sms(), "ALL_PROXY", '"socks5://p:1"', "http://proxy:3128", ALL_PROXY="socks5://p:1"),
    wrong(sms(), "HTTP_PROXY", '"http://a:b:c"', "http://proxy:3128", HTTP_PROXY="http://a:b:c"),
    wrong(sms(), "http_proxy", "not shown", "SOCKS", http_proxy="socks4://ada:hunter2@p:1"),
]


def test_the_table_is_long() -> None:
    assert len(TABLE) >= 60


def surroundings(folder: Path, given: Wrong) -> dict[str, str]:
    file = folder / "carillon.json"
    file.write_text(given.file if isinstance(given.file, str) else json.dumps(given.file))
    known = {} if given.file is PUSH else {"SMS_SERVICE_NAME": "sms-service"}
    store = f"sqlite:///{folder / 'carillon.db'}"
    return {
        "CONFIGURATION_PATH": str(file),
        "HTTP_PORT": "0",
        "SSL_CERT_FILE": "",
        "STORE_URL": store,
        **known,
        **given.environ,
    }


@pytest.mark.parametrize("given", TABLE, ids=lambda given: f"{given.parts[0]} {given.parts[1]}")
def test_a_wrong_configuration_is_told_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Wrong
) -> None:
    def started_all_the_same(*_: object) -> NoReturn:
        pytest.fail("the service would have started")

    monkeypatch.setattr("carillon.app.service.main", started_all_the_same)
    environ = surroundings(tmp_path, given)
    checked = invoke("config", "check", **environ)
    served = invoke("serve", **environ)

    assert checked.exit_code == served.exit_code == 2
    assert checked.stderr == served.stderr
    assert checked.stdout == served.stdout == ""
    assert checked.stderr.startswith("carillon: The configuration is wrong: ")
    assert checked.stderr.count("\n") == 1
    for part in given.parts:
        assert part.format(file=environ["CONFIGURATION_PATH"]) in checked.stderr
    assert "hunter2" not in checked.stderr
    told = json.loads(invoke("config", "check", "--json", **environ).stdout)
    assert (told["valid"], len(told["problems"])) == (False, 1)


def test_a_file_that_is_not_there_is_told_in_one_message() -> None:
    environ = {"CONFIGURATION_PATH": "/no/where.json"}
    checked, served = invoke("config", "check", **environ), invoke("serve", **environ)
    assert checked.exit_code == served.exit_code == 2
    assert checked.stderr == served.stderr
    assert 'CONFIGURATION_PATH: "/no/where.json" is not allowed; it must be' in checked.stderr


def after_the_start(stdout: bytes) -> list[str]:
    """What a log says besides its first line, which tells of what begins."""
    lines = [json.loads(line)["msg"] for line in stdout.splitlines()]
    return lines[1:] if lines[:1] == ["starting"] else lines


async def check_and_serve(folder: Path, given: Wrong) -> tuple[str, str]:
    """What both say, which must be one sentence and exit code 2."""
    environ = surroundings(folder, given)
    checked = await trio.to_thread.run_sync(partial(invoke, "config", "check", **environ))
    served = await script(folder, "serve", environ=environ)
    told = served.stderr.decode()
    assert checked.exit_code == served.returncode == 2, (checked.output, told)
    assert (checked.stdout, after_the_start(served.stdout)) == ("", [])
    assert checked.stderr.count("\n") == told.count("\n") == 1
    return checked.stderr, told


def a_text(store: Path) -> str:
    store.write_text("no database, but a text of some length, so that it is read" * 20)
    return "file is not a database; STORE_URL must name a file that this user may write"


def a_folder(store: Path) -> str:
    store.mkdir()
    return "STORE_URL must name a file that this user may write"


def a_foreign_database(store: Path) -> str:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("CREATE TABLE mine (x)")
    return "is an SQLite database, but not a Carillon store; STORE_URL must name another file"


def a_newer_store(store: Path) -> str:
    with closing(open_store(store)) as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    return f"made by a newer Carillon; this one knows {SCHEMA_VERSION}; STORE_URL must name"


def a_store_that_moved(store: Path) -> str:
    with closing(open_store(store)) as connection:
        connection.execute("UPDATE life SET moved = 'mongodb://elsewhere/db'")
        connection.commit()
    return "has moved to mongodb://elsewhere/db; name that in STORE_URL, or another file"


def a_lock_that_is_a_folder(store: Path) -> str:
    store.with_name(f"{store.name}-lock").mkdir()
    return "Is a directory; STORE_URL must name a file that this user may write"


@pytest.mark.servers
@pytest.mark.parametrize(
    "make",
    [
        a_text,
        a_folder,
        a_foreign_database,
        a_newer_store,
        a_store_that_moved,
        a_lock_that_is_a_folder,
    ],
)
async def test_a_store_that_cannot_be_used(tmp_path: Path, make: Callable[[Path], str]) -> None:
    store = tmp_path / "carillon.db"
    allowed = make(store)
    for told in await check_and_serve(tmp_path, wrong(sms())):
        assert str(store) in told
        assert allowed in told


@pytest.mark.servers
@pytest.mark.parametrize("place", ["none/carillon.db", "../../../../../../../proc/carillon.db"])
async def test_a_store_where_no_file_can_be_made(tmp_path: Path, place: str) -> None:
    url = f"sqlite:///{tmp_path}/{place}"
    for told in await check_and_serve(tmp_path, wrong(sms(), STORE_URL=url)):
        assert f"The store {tmp_path}/{place} cannot be opened: No such file or directory" in told
        assert "STORE_URL must name a file that this user may write, in a folder that it" in told


@pytest.mark.servers
@pytest.mark.parametrize("words", [("config", "check"), ("serve",)])
async def test_a_store_for_which_there_is_no_room(tmp_path: Path, words: tuple[str, ...]) -> None:
    limited = f"ulimit -f 16; exec {shlex.join([SCRIPT, *words])}"
    environ = surroundings(tmp_path, wrong(sms()))
    with trio.fail_after(60):
        ran = await trio.run_process(
            ["sh", "-c", limited],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=tmp_path,
            # Bytecode that is cut at the limit would be there for the next who reads it.
            env=clean_environment(tmp_path, {**environ, "PYTHONDONTWRITEBYTECODE": "1"}),
        )
    told = ran.stderr.decode()
    assert (ran.returncode, ran.stdout, told.count("\n")) == (2, b"", 1)
    assert f"The store {tmp_path}/carillon.db cannot be opened: " in told
    assert "STORE_URL must name a file that this user may write" in told


@pytest.mark.servers
async def test_a_mongodb_that_is_away(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"mongodb://ada:hunter2@127.0.0.1:{taken.getsockname()[1]}/shop"
        for told in await check_and_serve(tmp_path, wrong(sms(), STORE_URL=url)):
            assert f"{taken.getsockname()[1]}/shop cannot be used: no server that" in told
            assert "STORE_URL must name a MongoDB that answers" in told
            assert "hunter2" not in told
        environ = surroundings(tmp_path, wrong(sms(), STORE_URL=url))
        assert invoke("config", "check", "--offline", **environ).exit_code == 0


@pytest.mark.servers
@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
async def test_an_address_of_another_machine(tmp_path: Path, host: str) -> None:
    for told in await check_and_serve(tmp_path, wrong(sms(), HTTP_HOST=host)):
        assert f"Cannot listen on {host}:0: this machine does not have the address" in told
        assert "HTTP_HOST and HTTP_PORT can name another" in told


@pytest.mark.servers
async def test_an_account_and_a_function_that_cannot_be_loaded(tmp_path: Path) -> None:
    account, function = tmp_path / "account.json", tmp_path / "data.py"
    account.write_text('{"project_id": "shop", "project_id": "till"}')
    function.write_text("def get_data(event):\n    return {\n")
    push = wrong(PUSH, GOOGLE_APPLICATION_CREDENTIALS=str(account))
    for told in await check_and_serve(tmp_path, push):
        assert f"providers.firebase.credentials.file {account}: `project_id` stands twice" in told
    for told in await check_and_serve(tmp_path, wrong(flow(getDataFilePath=str(function)))):
        assert f"flowManagerConfiguration.getDataFilePath: {function}, line " in told


@pytest.mark.servers
async def test_right_configurations_that_people_took_for_wrong_ones(tmp_path: Path) -> None:
    for document, environ in (
        (sms(), {"DEFAULT_LOCALE": "it_IT"}),
        (provider(rate="100/1m"), {}),
        (sms(), {"ALL_PROXY": "socks5://proxy:1", "NO_PROXY": "sms-service"}),
    ):
        known = surroundings(tmp_path, wrong(document, **environ))
        assert invoke("config", "check", **known).exit_code == 0
        async with started([SCRIPT, "serve"], tmp_path, **known) as service:
            await service.says("listening on")
            assert await service.ends(signal.SIGTERM) == 0


def test_what_another_service_has_is_taken_and_not_wrong(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        environ = surroundings(tmp_path, wrong(sms(), HTTP_PORT=port))
        assert invoke("config", "check", **environ).exit_code == 0
        with closing(open_store(tmp_path / "carillon.db")), only_server(tmp_path / "carillon.db"):
            asked = invoke("config", "check", "--connect", **environ)
    assert asked.exit_code == 1
    assert f"Cannot listen on 127.0.0.1:{port}: it is in use" in asked.stderr
    assert f"The store {tmp_path}/carillon.db is in use by another running Caril" in asked.stderr


def test_a_check_leaves_nothing_behind(tmp_path: Path) -> None:
    environ = surroundings(tmp_path, wrong(sms()))
    for _ in range(2):
        before = sorted(path.name for path in tmp_path.iterdir())
        assert invoke("config", "check", **environ).exit_code == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == before
        open_store(tmp_path / "carillon.db").close()
