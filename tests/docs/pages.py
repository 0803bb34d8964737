"""The pages of the documentation, taken apart: blocks of code, marks, links, headings.

A console block that cannot run carries a mark in the line before it:

    <!-- not run: why it cannot -->
    <!-- runs as: carillon demo --port 3000 (why the command that is shown cannot run) -->
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT: Final = Path(__file__).parents[2]
PAGES: Final[Sequence[Path]] = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
NAMES: Final[Sequence[str]] = [page.name for page in PAGES]
CONSOLE: Final = frozenset({"console", "sh", "shell", "bash"})

_MARK: Final = re.compile(
    r"\s*<!-- (?:not run: (?P<why_not>.+?)|runs as: (?P<instead>.+?) \((?P<why>.+?)\)) -->\s*"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Why a block does not run as it stands, and what runs instead, if anything does."""

    reason: str
    instead: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, text, the page and the line where it begins."""

    page: str
    line: int
    language: str
    text: str
    mark: Mark | None

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """What is typed, and the output that is shown for it; None where none is."""

    words: str
    shown: str | None


def tokens(page: Path) -> Sequence[Token]:
    """The page as CommonMark with tables."""
    return MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))


def blocks(page: Path) -> Iterator[Block]:
    """Every block of code in its order; an indented one has the language `indented`."""
    mark = None
    for token in tokens(page):
        if token.type in {"fence", "code_block"}:
            assert token.map is not None
            language = token.info.strip() if token.type == "fence" else "indented"
            yield Block(page.name, token.map[0] + 1, language, token.content, mark)
        mark = _mark(token)


def console_blocks() -> Iterator[Block]:
    """Those of all pages that a reader types."""
    return (one for page in PAGES for one in blocks(page) if one.language in CONSOLE)


def commands(block: Block) -> Iterator[Command]:
    """What a block types, one after the other; `console` has prompts and output, `sh` neither."""
    if block.mark is not None:
        if block.mark.instead is not None:
            yield Command(block.mark.instead, None)
        return
    if block.language != "console":
        yield from _script(block.text.splitlines())
        return
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        yield _command(part.splitlines())


def spans(page: Path) -> Iterator[str]:
    """Every piece of inline code."""
    for token in tokens(page):
        for child in token.children or ():
            if child.type == "code_inline":
                yield child.content


def links(page: Path) -> Iterator[str]:
    """Every address that a link leads to."""
    for token in tokens(page):
        for child in token.children or ():
            if child.type == "link_open":
                yield str(child.attrs["href"])


def anchors(page: Path) -> frozenset[str]:
    """The fragments that headings of a page can be reached by, as GitHub makes them."""
    found = tokens(page)
    titles = (after.content for one, after in pairwise(found) if one.type == "heading_open")
    return frozenset(re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in titles)


def _mark(token: Token) -> Mark | None:
    found = _MARK.fullmatch(token.content) if token.type == "html_block" else None
    if found is None:
        return None
    return Mark(found["why_not"] or found["why"], found["instead"])


def _script(lines: Sequence[str]) -> Iterator[Command]:
    rest = [*lines]
    while rest:
        count = _length(rest)
        yield Command("\n".join(rest[:count]), None)
        del rest[:count]


def _command(lines: Sequence[str]) -> Command:
    count = _length(lines)
    shown = "\n".join(lines[count:])
    return Command("\n".join(lines[:count]), shown if shown.strip() else None)


def _length(lines: Sequence[str]) -> int:
    """A command goes on while its quotes are open or its line ends with a backslash."""
    count = 1
    while count < len(lines) and _is_open("\n".join(lines[:count])):
        count += 1
    return count


def _is_open(text: str) -> bool:
    if text.endswith("\\"):
        return True
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return True
    return False
