"""The page of the figures: what is measured goes between the marks of its part."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

FIGURES: Final = Path(__file__).parents[2] / "docs" / "benchmarks.md"


class NoMarksError(Exception):
    """The page has no place for what was measured."""


def write_between_marks(page: Path, name: str, text: str) -> None:
    """Put a text between `<!-- bench: NAME -->` and `<!-- bench: end of NAME -->`.

    Raises:
        NoMarksError: the page lacks one of the two lines; it is left as it is.
    """
    begin, end = f"<!-- bench: {name} -->", f"<!-- bench: end of {name} -->"
    marked = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
    whole = page.read_text()
    if not marked.search(whole):
        raise NoMarksError(f"{page} has no lines {begin} and {end} between which figures could go")
    page.write_text(marked.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", whole, count=1))
