"""docs/tuning.md: its sections are valid, and its commands do what it says."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from carillon.messages.model import Document
from carillon.settings import from_document
from tests.cli.operated import run
from tests.running import running

PAGE = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text()
SENDER: Document = {"email": "shop@example.com", "sms": "Shop"}
CHANNELS: Mapping[str, str] = {
    "email": "mail-service",
    "sms": "sms-service",
    "push": "firebase",
}


def sections() -> dict[str, Document]:
    found: dict[str, Document] = {}
    for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL):
        found |= json.loads(block)["providers"]
    return found


def configuration(**changes: Document) -> Document:
    return {"activeChannels": [*CHANNELS], "sender": SENDER, "providers": {**sections()}, **changes}


def test_every_section_is_valid_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text("{}")
    environ = {
        "MAIL_SERVICE_NAME": "mail-service",
        "SMS_SERVICE_NAME": "sms-service",
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json"),
    }
    settings = from_document(configuration(), environ)
    assert settings.providers.keys() == sections().keys() == set(CHANNELS.values())
    assert all(section.rate for section in settings.providers.values())
    assert settings.warnings == ()


def commands() -> Iterator[tuple[list[str], list[str]]]:
    """The words of each command on the page, and the lines that it is said to print."""
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for part in block.split("$ ")[1:]:
            line, *said = part.splitlines()
            if line.startswith("carillon "):
                yield shlex.split(line)[1:], said
    for inline in re.findall(r"`(carillon (?:providers|supervisor) [^`]+)`", PAGE):
        yield shlex.split(inline)[1:], []


async def test_every_command_does_what_the_page_says(tmp_path: Path) -> None:
    sandboxes: Document = {name: {**keys, "type": "sandbox"} for name, keys in sections().items()}
    channels: Document = {channel: {"providers": [name]} for channel, name in CHANNELS.items()}
    ran = 0
    async with running(tmp_path, configuration(providers=sandboxes, channels=channels)) as service:
        for words, said in commands():
            if "watch" in words:
                continue  # it would not end
            result = await run(service, *words)
            assert result.exit_code == 0, (words, result.stderr)
            assert not said or result.stdout.splitlines() == said, words
            ran += 1
    assert ran > 10


async def test_every_key_of_the_first_table_can_be_set(tmp_path: Path) -> None:
    table = PAGE.partition("## The knobs")[2].partition("\n\n`timeToLive`")[0]
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)`", table, re.MULTILINE)
    async with running(tmp_path) as service:
        shown = await run(service, "providers", "show", "sms-sandbox", "--json")
        known = json.loads(shown.stdout)["settings"]
        for key, assignment in rows:
            result = await run(service, "providers", "set", "sms-sandbox", assignment)
            assert f"  {key}: " in result.stdout or "nothing changed" in result.stdout
            assert "(override)" in result.stdout
    assert [key for key, _ in rows] == [*known]
