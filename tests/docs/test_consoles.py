"""What README and docs type works as it stands there, and prints what they show."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from carillon.messages.model import Document, JsonValue
from tests.docs.likeness import ID, ids_in_place
from tests.docs.pages import NAMES, PAGES, ROOT, Command, blocks, commands, console_blocks
from tests.docs.session import Session, free_ports, serves, session
from tests.neighbours.smtp import SmtpServer, listening
from tests.running import fill_store

SHOP: Final = ROOT / "docs" / "examples" / "shop"
REFUSAL: Final = '{"statusCode":"'
CONSOLES: Final = sorted({block.page for block in console_blocks() if [*commands(block)]})
MOST_MARKS: Final = 5


class Reader:
    """Types what a page says, and compares what comes with what it shows."""

    def __init__(self, at: Session, ports: Mapping[str, str]) -> None:
        self._session = at
        self._ports = ports
        self._ids: dict[str, str] = {}

    async def types(self, command: Command, place: str) -> None:
        """One command, with the ports and the ids of this run."""
        words = re.sub(ID, lambda found: self._ids.get(found[0], found[0]), command.words)
        ran = await self._session.run(as_readers_type(ported(words, self._ports)))
        said = f"{place}: {command.words}\n{ran.output}"
        assert ran.code == 0, said
        assert "Traceback" not in ran.output, said
        if command.shown is None:
            assert REFUSAL not in ran.output, said
            return
        shown = ported(command.shown, self._ports)
        pairs = ids_in_place(shown, ran.output)
        assert pairs is not None, f"{said}\ninstead of\n{shown}"
        self._ids.update(pairs)


def as_readers_type(words: str) -> str:
    """A command as it works for readers, who name no service: other ports alone need that."""
    return re.sub(r"(?<!\S)carillon (users|templates)\b", r"CARILLON_URL= carillon \1", words)


def ported(text: str, ports: Mapping[str, str]) -> str:
    """The text with free ports in place of those that the documentation uses."""
    return re.sub(r"\b300[01]\b", lambda found: ports[found[0]], text)


def configured_for_tuning() -> Document:
    """What docs/tuning.md has configured, with sandboxes in place of the services it names."""
    page = ROOT / "docs" / "tuning.md"
    sections: Document = {}
    for block in blocks(page):
        if block.language == "json":
            section: Document = json.loads(block.text)["providers"]
            sections |= section
    channels = {"email": "mail-service", "sms": "sms-service", "push": "firebase"}
    shop: Document = json.loads((SHOP / "configuration.json").read_text())
    return {
        **shop,
        "activeChannels": [*channels],
        "channels": {channel: {"providers": [name]} for channel, name in channels.items()},
        "providers": {name: sandboxed(keys) for name, keys in sections.items()},
    }


def sandboxed(keys: JsonValue) -> Document:
    """A section of `providers` that sends nothing."""
    assert isinstance(keys, dict)
    return {**keys, "type": "sandbox"}


async def begin(page: str, at: Reader, folder: Path) -> None:
    """What a reader has done who comes to a page: README's *Run it*, but for README itself."""
    if page == "README.md":
        return
    shop = folder / "shop"
    shutil.copytree(folder / "docs" / "examples" / "shop", shop)
    if page == "tuning.md":
        (shop / "configuration.json").write_text(json.dumps(configured_for_tuning()))
    fill_store(shop / "carillon.db", documents("users"), documents("templates"))
    await at.types(Command("cd shop && export CONFIGURATION_PATH=configuration.json", None), page)
    if not any(serves(command.words) for _, command in typed(page)):
        await at.types(Command("carillon serve", None), page)


def documents(name: str) -> list[Document]:
    """Those of the shop."""
    return [json.loads(line) for line in (SHOP / f"{name}.jsonl").read_text("utf-8").splitlines()]


def typed(page: str) -> list[tuple[str, Command]]:
    """Every command of a page, with its place."""
    mine = [block for block in console_blocks() if block.page == page]
    return [(block.place, command) for block in mine for command in commands(block)]


def prepared(folder: Path, ports: Mapping[str, str]) -> dict[str, str]:
    """The examples in the folder, and the environment of a terminal in which Carillon is active."""
    shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")
    for file in folder.rglob("*.json"):
        file.write_text(ported(file.read_text("utf-8"), ports), "utf-8")
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "COLUMNS": "200",
        "HTTP_PORT": ports["3000"],
        "CARILLON_URL": f"http://127.0.0.1:{ports['3000']}",
    }


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
@pytest.mark.parametrize("page", CONSOLES)
async def test_every_command_prints_what_the_page_shows(page: str, tmp_path: Path) -> None:
    ports = dict(zip(("3000", "3001"), map(str, free_ports(2)), strict=True))
    environ = prepared(tmp_path, ports)
    async with sink_of(page, ports) as sink, session(tmp_path, environ) as at:
        reader = Reader(at, ports)
        await begin(page, reader, tmp_path)
        for place, command in typed(page):
            await reader.types(command, place)
    assert sink is None or len(sink.mails) == 1


@asynccontextmanager
async def sink_of(page: str, ports: Mapping[str, str]) -> AsyncGenerator[SmtpServer | None]:
    """The SMTP server of README's reader."""
    if page != "README.md":
        yield None
        return
    async with listening(port=int(ports["3001"])) as sink:
        yield sink


def test_nothing_that_is_typed_is_left_out() -> None:
    outside = [
        block.place
        for page in PAGES
        for block in blocks(page)
        if block.language == "indented" or (block.language == "" and "carillon " in block.text)
    ]
    assert outside == []
    assert {"README.md", "access.md", "dispatches.md", "sagas.md", "tuning.md"} <= {*CONSOLES}
    assert {*CONSOLES} <= {*NAMES}


def test_few_blocks_do_not_run_and_each_says_why() -> None:
    marked = {block.place: block.mark.reason for block in console_blocks() if block.mark}
    comments = sum(len(re.findall(r"<!-- (?:not run|runs as)", page.read_text())) for page in PAGES)
    assert all(len(reason.split()) >= 4 for reason in marked.values()), marked
    assert len(marked) == comments  # a mark that belongs to no block marks nothing
    assert len(marked) <= MOST_MARKS
    assert len(marked) * 3 <= sum(1 for _ in console_blocks())
