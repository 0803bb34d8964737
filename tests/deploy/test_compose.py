"""The compose file is valid, runs the image as it is made, and its service sends to its sink."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Final, cast

import pytest
import trio

from carillon.messages.durations import seconds
from carillon.messages.model import Document, JsonValue
from carillon.settings import VARIABLES, load
from tests.deploy.containerfile import CONTAINERFILE, stages
from tests.deploy.schemas import against_compose, documents, with_schemas
from tests.docs.pages import ROOT
from tests.providers.smtp.test_aiosmtpd import Sink, aiosmtpd
from tests.running import running

FILE: Final = ROOT / "deploy" / "compose.yaml"
CONFIGURATION: Final = ROOT / "deploy" / "configuration.json"

pytestmark = [with_schemas]


@pytest.fixture(scope="module")
def compose() -> Document:
    [document] = documents(FILE)
    return document


def service(compose: Document, name: str = "carillon") -> Document:
    return cast("dict[str, Document]", compose["services"])[name]


def test_it_is_valid(compose: Document) -> None:
    assert against_compose(compose) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [("ports", 3000), ("read_only", "never"), ("stop_grace", "45s"), ("depends_on", 1)],
)
def test_the_schema_finds_mistakes(key: str, value: JsonValue, compose: Document) -> None:
    wrong = copy.deepcopy(compose)
    service(wrong)[key] = value
    assert against_compose(wrong) != []


def test_it_builds_and_runs_the_image_as_it_is_made(compose: Document) -> None:
    build = cast("Document", service(compose)["build"])
    image = stages()[-1]
    assert (
        FILE.parent / str(build["context"]) / str(build["dockerfile"])
    ).resolve() == CONTAINERFILE
    assert service(compose)["ports"] == [f"127.0.0.1:3000:{image.last('EXPOSE')}"]
    mounts = dict(
        str(one).split(":")[:2][::-1] for one in cast("list[str]", service(compose)["volumes"])
    )
    assert mounts[image.last("VOLUME")] in cast("Document", compose["volumes"])
    mounted = FILE.parent / mounts[image.environ["CONFIGURATION_PATH"]]
    assert mounted.resolve() == CONFIGURATION


@pytest.mark.parametrize("name", ["carillon", "mail"])
def test_nothing_listens_beyond_this_machine_and_nothing_may_do_more_than_it_must(
    name: str, compose: Document
) -> None:
    one = service(compose, name)
    assert all(str(port).startswith("127.0.0.1:") for port in cast("list[str]", one["ports"]))
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]


def environ(compose: Document) -> dict[str, str]:
    """What the service finds when nothing is set where compose runs."""
    given = cast("dict[str, str]", service(compose)["environment"])
    assert given.keys() <= VARIABLES.keys()
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text) for name, text in given.items()}


def test_the_service_takes_what_it_is_given_and_time_to_stop(
    compose: Document, tmp_path: Path
) -> None:
    store = {"STORE_URL": f"sqlite:///{tmp_path}/carillon.db"}
    settings = load({"CONFIGURATION_PATH": str(CONFIGURATION), **environ(compose), **store})
    assert [*settings.providers] == ["smtp"]
    grace = seconds(service(compose)["stop_grace_period"])
    assert grace >= settings.drain + settings.server.wait_before_close + 10


@pytest.mark.servers
async def test_a_mail_to_an_address_of_the_request_is_in_the_sink(
    compose: Document, tmp_path: Path
) -> None:
    sink = Sink()
    with aiosmtpd(sink) as port:
        url = environ(compose)["SMTP_URL"].replace("mail:1025", f"127.0.0.1:{port}")
        document: JsonValue = json.loads(await trio.Path(CONFIGURATION).read_text())
        async with running(tmp_path, document, environ={"SMTP_URL": url}) as carillon:
            told = await carillon.client.post(
                "/send",
                json={
                    "channels": ["email"],
                    "to": [{"emailAddress": "ada@example.com"}],
                    "messageTitle": "Hello",
                    "messageContent": "It works.",
                },
            )
    assert told.json() == {"failures": []}
    [(sender, recipients, message)] = sink.mails
    assert (sender, recipients) == ("carillon@example.com", ["ada@example.com"])
    assert b"Subject: Hello" in message
