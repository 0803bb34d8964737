"""The sections of `docs/examples/providers`: `config check` takes each, and each sends what its
API's own documentation sends and takes its answers for what they say.

`published.json` has the published examples with their sources. In it `$NAME` is the value of a
secret, `$deliveryId` the delivery's id, `$server` the stand-in.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import pytest

from carillon.http_client.httpx_client import HttpxWire
from carillon.messages.model import (
    Accepted,
    Attempt,
    Channel,
    Content,
    Delivery,
    Document,
    EmailContent,
    JsonValue,
    PushContent,
    Refused,
    TextContent,
    Unanswered,
    Unavailable,
)
from carillon.providers.config import BuildContext
from carillon.settings import from_document
from carillon.settings.file.opening import read_start
from tests.cli.command_line import invoke
from tests.docs.pages import ROOT
from tests.neighbours.http import Answer, Server, serve
from tests.providers.deliveries import Starts, delivery
from tests.providers.test_kafka2firebase import FakeHandovers

FOLDER: Final = ROOT / "docs" / "examples" / "providers"
PUBLISHED: Final[Mapping[str, Document]] = json.loads(
    Path(__file__).with_name("published.json").read_text("utf-8")
)
MOST_LINES: Final = 25
ORIGIN: Final = re.compile(r"https?://[^/{]+")


def section(name: str) -> Document:
    value: JsonValue = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    assert isinstance(value, dict)
    assert [*value] == [name]
    return part(value, name)


def part(value: Document, key: str) -> Document:
    found = value.get(key, {})
    assert isinstance(found, dict)
    return found


def environment(name: str, server: str) -> dict[str, str]:
    """What the secrets of an example are."""
    secrets = section(name)["secrets"]
    assert isinstance(secrets, list)
    given = part(part(PUBLISHED[name], "request"), "environment")
    drawn = {str(one): f"secret-of-{one}".lower() for one in secrets}
    return drawn | {key: str(value).replace("$server", server) for key, value in given.items()}


def configuration(name: str, server: str | None = None) -> Document:
    """A file with the example, its API in the place of a stand-in where there is one."""
    keys = section(name)
    if server is not None:
        keys["url"] = ORIGIN.sub(server, str(keys["url"]), count=1)
    channels = cast("list[JsonValue]", keys["channels"])
    return {
        "activeChannels": channels,
        "sender": {"email": "shop@example.com", "sms": "Shop", "voice": "+390212345678"},
        "channels": {str(channel): {"providers": [name]} for channel in channels},
        "providers": {name: keys},
    }


def message(name: str) -> Delivery:
    """The delivery of a published example."""
    example = PUBLISHED[name]
    said = {key: str(value) for key, value in part(example, "message").items()}
    channel = cast("Channel", example["channel"])
    content: Content = TextContent(said.get("text", ""))
    if channel == "email":
        content = EmailContent(said["title"], text=said.get("text"), html=said.get("html"))
    elif channel == "push":
        content = PushContent(said.get("title"), None, said["text"])
    return replace(delivery(channel, content, said["to"]), sender=said["sender"])


def filled(value: JsonValue, values: Mapping[str, str]) -> JsonValue:
    """A published value with our secrets and ids in it."""
    if isinstance(value, str):
        for name, text in values.items():
            value = value.replace(f"${name}", text)
        return value
    if isinstance(value, list):
        return [filled(one, values) for one in value]
    if isinstance(value, dict):
        return {key: filled(one, values) for key, one in value.items()}
    return value


async def called(name: str, server: Server, wire: HttpxWire) -> Attempt:
    environ = environment(name, server.url)
    settings = from_document(configuration(name, server.url), environ)
    context = BuildContext(name, wire, FakeHandovers(), read_start)
    provider = settings.providers[name].config.build(context)
    return await provider.send(message(name), Starts())


def test_each_is_published_and_each_is_there() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} == PUBLISHED.keys()
    assert all(PUBLISHED[name]["source"] for name in PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_is_short_and_config_check_takes_it(name: str, tmp_path: Path) -> None:
    lines = (FOLDER / f"{name}.json").read_text("utf-8").splitlines()
    assert len(lines) <= MOST_LINES
    file = tmp_path / "configuration.json"
    file.write_text(json.dumps(configuration(name)))
    environ = environment(name, "https://hooks.slack.com")
    store = f"sqlite:///{tmp_path}/carillon.db"
    found = invoke("config", "check", str(file), STORE_URL=store, **environ)
    assert found.exit_code == 0, found.stderr
    assert not any(value in found.stdout + found.stderr for value in environ.values())


@pytest.mark.parametrize("name", PUBLISHED)
async def test_it_sends_what_its_api_publishes(name: str, wire: HttpxWire) -> None:
    expected = part(PUBLISHED[name], "request")
    async with serve(Answer()) as server:
        await called(name, server, wire)
    [request] = server.requests
    values = {**environment(name, server.url), "deliveryId": "d" * 32}
    assert (request.method, request.target) == (expected["method"], expected["path"])
    for header, value in part(expected, "headers").items():
        text = str(filled(value, values))
        if text.startswith("Basic "):
            text = f"Basic {b64encode(text.removeprefix('Basic ').encode()).decode()}"
        assert request.headers[header] == text, header
    if "json" in expected:
        assert request.json() == filled(expected["json"], values)
    else:
        form = filled(expected["form"], values)
        assert isinstance(form, dict)
        assert request.form() == {field: [value] for field, value in form.items()}


def answers() -> Iterator[tuple[str, Document]]:
    for name, example in PUBLISHED.items():
        listed = example["answers"]
        assert isinstance(listed, list)
        yield from ((name, one) for one in listed if isinstance(one, dict))


@pytest.mark.parametrize(("name", "told"), [*answers()])
async def test_what_it_answers_means_what_it_says(
    name: str, told: Document, wire: HttpxWire
) -> None:
    text = str(told.get("text", ""))
    body = json.dumps(told["json"]) if "json" in told else text
    headers = {key: str(value) for key, value in part(told, "headers").items()}
    answer = Answer(cast("int", told["status"]), body.encode(), headers)
    async with serve(answer) as server:
        made = await called(name, server, wire)
    assert meaning(made) == told["means"]
    if isinstance(made, Accepted):
        assert made.message_id == told.get("messageId")
    elif "says" in told:
        assert getattr(made, "error", "") == f"{name} answered {told['status']}: {told['says']}"
    if isinstance(made, Unavailable):
        assert made.retry_after == told.get("wait")


def meaning(made: Attempt) -> str:
    match made:
        case Accepted():
            return "accepted"
        case Refused():
            return "refused"
        case Unavailable(throttled=True):
            return "throttled"
        case Unavailable():
            return "unavailable"
        case Unanswered():
            return "unanswered"
    raise AssertionError(made)
