"""`config check --connect`: whoever the configuration names is asked, and no message is sent."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
from click.testing import Result

from carillon.messages.model import Document
from tests.cli.command_line import invoke
from tests.neighbours.crud import crud_service
from tests.neighbours.file_service import file_service
from tests.neighbours.http import Answer, serve
from tests.neighbours.smtp import SmtpScript, listening

DOCUMENT: Document = {
    "activeChannels": ["sms"],
    "sender": {"sms": "Shop"},
    "flowManagerConfiguration": {
        "metadataSchema": {"channels": "channels"},
        "successEventLabel": "sent",
        "failEventLabel": "failed",
    },
}


@pytest.fixture
def dead() -> Iterator[str]:
    """The URL of a port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


async def check(folder: Path, *words: str, flow: str, **environ: str) -> Result:
    document = json.loads(json.dumps(DOCUMENT))
    document["flowManagerConfiguration"]["serviceUrl"] = flow
    (folder / "carillon.json").write_text(json.dumps(document))
    known = {
        "CONFIGURATION_PATH": str(folder / "carillon.json"),
        "STORE_URL": f"sqlite:///{folder}/carillon.db",
        "HTTP_PORT": "0",
        "NO_PROXY": "*",
        **environ,
    }
    run = partial(invoke, "config", "check", "--connect", *words, **known)
    return await trio.to_thread.run_sync(run)


async def test_everybody_answers_and_gets_no_message(tmp_path: Path) -> None:
    async with crud_service() as crud, file_service() as files, serve(Answer(500)) as other:
        known = {
            "SMS_SERVICE_URL": other.url,
            "CRUD_SERVICE_URL": crud.url,
            "USERS_CRUD_NAME": "users",
            "FILE_SERVICE_URL": files.url,
        }
        shown = await check(tmp_path, flow=other.url, **known)
        told = json.loads((await check(tmp_path, "--json", flow=other.url, **known)).stdout)
    assert (shown.exit_code, shown.stderr) == (0, "")
    for name, url in (
        ("CRUD Service", crud.url),
        ("file service", files.url),
        ("flowManagerConfiguration.serviceUrl", other.url),
        ("providers.sms-service.url", other.url),
    ):
        assert f"answers: {name} {url}\n" in shown.stdout
        assert {"key": name, "address": url, "problem": None} in told["connections"]
    assert "The configuration is right: sms goes over sms-service." in shown.stdout
    assert other.requests == []


async def test_whoever_is_away_is_named_and_a_service_would_start(
    tmp_path: Path, dead: str
) -> None:
    known = {
        "SMS_SERVICE_URL": dead,
        "CRUD_SERVICE_URL": f"{dead}/crud",
        "USERS_CRUD_NAME": "users",
        "FILE_SERVICE_URL": "http://no-such-host.invalid",
    }
    shown = await check(tmp_path, flow=f"{dead}/flow", **known)
    assert shown.exit_code == 1
    assert shown.stderr.startswith("carillon: The configuration is right, but in 4 places:\n")
    for line in (
        f"CRUD Service {dead}/crud: connection refused",
        "file service http://no-such-host.invalid: host name not found",
        f"flowManagerConfiguration.serviceUrl {dead}/flow: connection refused",
        f"providers.sms-service.url {dead}: connection refused",
    ):
        assert f"  - {line}\n" in shown.stderr
    plain = partial(invoke, "config", "check", CONFIGURATION_PATH=f"{tmp_path}/carillon.json")
    store = f"sqlite:///{tmp_path}/carillon.db"
    result = await trio.to_thread.run_sync(partial(plain, STORE_URL=store, HTTP_PORT="0", **known))
    assert result.exit_code == 0


async def test_who_answers_without_working_is_named(tmp_path: Path) -> None:
    async with serve(Answer(503)) as broken:
        shown = await check(
            tmp_path,
            flow=broken.url,
            SMS_SERVICE_URL=broken.url,
            CRUD_SERVICE_URL=broken.url,
            USERS_CRUD_NAME="users",
        )
    assert shown.exit_code == 1
    assert f"but: CRUD Service {broken.url}: The CRUD Service answered 503" in shown.stderr


async def test_on_the_way_over_a_proxy_the_proxy_is_asked(tmp_path: Path, dead: str) -> None:
    async with serve(Answer(200)) as other:
        shown = await check(
            tmp_path,
            flow=other.url,
            SMS_SERVICE_URL="http://sms.invalid",
            NO_PROXY="127.0.0.1",
            HTTP_PROXY=dead,
        )
    assert shown.exit_code == 1
    assert "but: providers.sms-service.url http://sms.invalid: the proxy: conn" in shown.stderr


@pytest.mark.servers
async def test_brokers_that_are_away_are_named(tmp_path: Path, dead: str) -> None:
    brokers = dead.removeprefix("http://")
    environ = {
        "CONFIGURATION_PATH": str(tmp_path / "carillon.json"),
        "STORE_URL": f"sqlite:///{tmp_path}/carillon.db",
        "HTTP_PORT": "0",
        "KAFKA_BROKERS": brokers,
        "KAFKA_TOPICS": "push",
    }
    (tmp_path / "carillon.json").write_text('{"activeChannels": ["push"]}')
    run = partial(invoke, "config", "check", "--connect", **environ)
    result = await trio.to_thread.run_sync(run)
    assert result.exit_code == 1
    assert f"KAFKA_BROKERS {brokers}: no broker answers" in result.stderr


def test_asking_everybody_and_nobody_is_a_contradiction() -> None:
    result = invoke("config", "check", "--connect", "--offline")
    assert result.exit_code == 2
    assert "--connect and --offline contradict each other" in result.stderr


async def test_an_address_with_a_key_is_not_shown(tmp_path: Path, dead: str) -> None:
    async with serve(Answer(500)) as other:
        for url, code in ((other.url, 0), (dead, 1)):
            known = {"SMS_SERVICE_URL": f"{url}/a?key=PASS"}
            for words in ((), ("--json",)):
                found = await check(tmp_path, *words, flow=other.url, **known)
                assert found.exit_code == code, found.output
                assert f"{url}/a?…" in found.output
                assert "PASS" not in found.output


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, "answers: providers.smtp.url {url}"),
        ({"AUTH": "535 5.7.8 No"}, "providers.smtp.url {url}: smtp answered 535 5.7.8 to AUTH: No"),
        ({"": "554 No"}, "providers.smtp.url {url}: smtp answered 554 to the connection: No"),
    ],
)
async def test_an_smtp_server_is_greeted_and_shown_the_account(
    tmp_path: Path, answers: dict[str, str], said: str
) -> None:
    file = tmp_path / "carillon.json"
    sender = {"email": "shop@example.com"}
    file.write_text(json.dumps({"activeChannels": ["email"], "sender": sender}))
    async with listening(SmtpScript(answers=answers, accounts={"ada": "PA55"})) as server:
        known = {
            "CONFIGURATION_PATH": str(file),
            "STORE_URL": f"sqlite:///{tmp_path}/carillon.db",
            "HTTP_PORT": "0",
            "SMTP_URL": server.url.replace("//", "//ada:PA55@"),
        }
        run = partial(invoke, "config", "check", "--connect", **known)
        checked = await trio.to_thread.run_sync(run)
        assert not server.mails
    assert checked.exit_code == (1 if answers else 0), checked.output
    assert said.format(url=server.url) in checked.output
    assert "PA55" not in checked.output
