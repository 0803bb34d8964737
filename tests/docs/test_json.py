"""What README and docs show in JSON is what the service takes: configuration, requests, keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from carillon.messages.commands import parse_send
from carillon.messages.model import Document, JsonValue
from carillon.sagas.command import parse_command
from carillon.settings import schema
from tests.cli.command_line import invoke
from tests.docs.pages import PAGES, ROOT, Block, blocks, spans

SURROUNDINGS: Final[Mapping[str, str]] = {
    "MAIL_SERVICE_NAME": "mail-service",
    "SMS_SERVICE_NAME": "sms-service",
    "KAFKA_BROKERS": "kafka-1:9092",
    "RESEND_API_KEY": "re_123",
    "TEXTS_ACCOUNT": "abc",
    "TEXTS_KEY": "def",
}
UNUSED: Final = "is not used by any active channel"  # of a piece that is tried alone
SECTIONS: Final = ROOT / "docs" / "examples" / "providers"
"""Sections of providers, which `tests/providers/http/test_examples.py` configures and calls."""
EXAMPLES: Final = sorted(
    file for file in (ROOT / "docs" / "examples").rglob("*.json") if file.parent != SECTIONS
)


def json_blocks() -> Iterator[Block]:
    return (block for page in PAGES for block in blocks(page) if block.language == "json")


def file_keys() -> frozenset[str]:
    """The keys of the configuration file's top level."""
    keys = schema()["properties"]
    assert isinstance(keys, dict)
    return frozenset(keys)


def fragments() -> Iterator[Document]:
    """Pieces of a configuration file that stand in a line, such as `"escaping": "everywhere"`."""
    for page in PAGES:
        for span in spans(page):
            try:
                found = json.loads(f"{{{span}}}")
            except ValueError:
                continue
            if file_keys() >= found.keys() and found and "…" not in span:
                yield found


def configured(document: Document, folder: Path) -> None:
    """`config check` takes it; what a piece of a file leaves out is as in the smallest file."""
    channels = document.get("channels")
    active: list[JsonValue] = [*channels] if isinstance(channels, dict) else ["email", "sms"]
    whole: Document = {
        "activeChannels": active,
        "sender": {"email": "shop@example.com", "sms": "Shop"},
        "providers": {"sms-backup": {"type": "sandbox"}},
        **document,
    }
    (folder / "configuration.json").write_text(json.dumps(whole))
    found = invoke("config", "check", str(folder / "configuration.json"), **SURROUNDINGS)
    assert found.exit_code == 0, found.stderr
    warnings = [line for line in found.stdout.splitlines() if line.startswith("warning: ")]
    assert [line for line in warnings if not line.endswith(UNUSED)] == []


def keys(document: JsonValue, folder: Path) -> None:
    """`config check` takes it as the keys of callers."""
    (folder / "keys.json").write_text(json.dumps(document))
    smallest = ROOT / "docs" / "examples" / "shop" / "configuration.json"
    found = invoke("config", "check", str(smallest), API_KEYS_FILE=str(folder / "keys.json"))
    assert found.exit_code == 0, found.stderr


def command(document: JsonValue, _: Path) -> None:
    assert parse_command(document).key


def request(document: JsonValue, _: Path) -> None:
    assert parse_send(document).channels


def shown_alone(document: JsonValue, _: Path) -> None:
    """A Flow Manager's own files, what we answer, and what a template reads."""
    theirs = {"outgoingTransitions", "configurations", "carillon", "user"}
    assert isinstance(document, dict)
    assert theirs & document.keys(), f"nothing takes {document}"


def taker(document: JsonValue) -> Callable[[JsonValue, Path], None]:
    """What the JSON is for."""
    if isinstance(document, list):
        return keys
    assert isinstance(document, dict)
    if document.keys() == {"key", "value"}:
        return command
    if file_keys() >= document.keys():
        return lambda _, folder: configured(document, folder)
    if "channels" in document and {"recipients", "clusters"} & document.keys():
        return request
    return shown_alone


@pytest.mark.parametrize("block", [*json_blocks()], ids=lambda block: block.place)
def test_json_is_taken_as_what_it_is_for(block: Block, tmp_path: Path) -> None:
    document: JsonValue = json.loads(block.text)
    taker(document)(document, tmp_path)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name + "/" + file.name)
def test_the_examples_are_taken(file: Path, tmp_path: Path) -> None:
    document: JsonValue = json.loads(file.read_text("utf-8"))
    taker(document)(document, tmp_path)


def test_pieces_of_a_configuration_in_a_line_are_taken(tmp_path: Path) -> None:
    found = [*fragments()]
    for fragment in found:
        configured(fragment, tmp_path)
    assert len(found) > 1


def test_what_is_shown_of_the_examples_is_what_they_hold() -> None:
    shown = {json.dumps(json.loads(block.text)) for block in json_blocks()}
    saga = ROOT / "docs" / "examples" / "saga"
    for name in ("configuration.json", "command.json"):
        assert json.dumps(json.loads((saga / name).read_text())) in shown
