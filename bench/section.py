"""What one part of the bench says: a table, the runs behind it, and how it stands to its bars."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from statistics import median
from typing import Final, Literal, Protocol, TypeVar

FIGURES: Final = Path(__file__).parents[1] / "docs" / "benchmarks.md"

Side = Literal["at least", "at most"]
Row = Mapping[str, str | int | float | None]
"""What stands under each title of a table."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure and what it has to be; `unit` is written behind both."""

    name: str
    figure: float
    side: Side
    bar: float
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the figure is good enough."""
        return self.figure >= self.bar if self.side == "at least" else self.figure <= self.bar

    def __str__(self) -> str:
        verdict = "met" if self.met else "**missed**"
        bar = f"{self.side} {self.bar:g}{self.unit}"
        figure = format(self.figure, ".3g" if self.figure < 1000 else ",.0f")
        return f"{self.name}: {figure}{self.unit} ({bar}: {verdict})"


@dataclass(frozen=True, slots=True)
class Section:
    """A title and the tables under it, as Markdown; `runs` are dataclasses, for JSON."""

    title: str
    tables: Sequence[str]
    runs: Sequence[object]
    bars: Sequence[Bar] = ()

    def markdown(self) -> str:
        """The whole section."""
        return f"### {self.title}\n\n{self.figures()}"

    def figures(self) -> str:
        """The same without its title."""
        bars = "\n".join(f"- {bar}" for bar in self.bars)
        return "\n\n".join(part for part in (*self.tables, bars) if part)

    def as_json(self) -> dict[str, object]:
        """What `--json` writes of it."""
        return {
            "runs": [
                asdict(run) for run in self.runs if is_dataclass(run) and not isinstance(run, type)
            ],
            "bars": [{**asdict(bar), "met": bar.met} for bar in self.bars],
        }


class Turn(Protocol):
    """One contender's turn."""

    @property
    def contender(self) -> str:
        """Who it was."""

    @property
    def turn(self) -> int:
        """Turns of one number stood side by side."""

    @property
    def per_second(self) -> float:
        """How much it did in a second."""


Run = TypeVar("Run")
OneTurn = TypeVar("OneTurn", bound=Turn)


def grouped(runs: Sequence[Run], key: Callable[[Run], object]) -> list[list[Run]]:
    """The runs that have a key in common, in the order in which the keys come first."""
    return [[run for run in runs if key(run) == one] for one in dict.fromkeys(map(key, runs))]


def of(contender: str, runs: Sequence[OneTurn]) -> list[OneTurn]:
    """A contender's turns."""
    return [run for run in runs if run.contender == contender]


def ratio(runs: Sequence[Turn], others: Sequence[Turn]) -> float | None:
    """How many times as fast as others: each turn by itself, then the median of the turns."""
    by_turn = {other.turn: other.per_second for other in others}
    found = [run.per_second / by_turn[run.turn] for run in runs if run.turn in by_turn]
    return median(found) if found else None


def table(rows: Sequence[Row]) -> str:
    """Markdown; numbers with three digits, or all those before the point."""
    titles = list(dict.fromkeys(title for row in rows for title in row))
    cells = [[_cell(row.get(title)) for title in titles] for row in rows]
    lines = [titles, ["---"] * len(titles), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: str | float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, float) and abs(value) < 999.5:
        return f"{value:.3g}"
    return value if isinstance(value, str) else f"{value:,.0f}"


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


Say = Callable[[str], None]


def say(text: str) -> None:
    """One line, at once."""
    print(text, file=sys.stderr, flush=True)
