"""What one part of the bench says: a table, the runs behind it, and how it stands to its bars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from statistics import median
from typing import Final, Generic, Literal, NamedTuple, Protocol, TypeVar

Side = Literal["at least", "at most"]


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


NONE: Final = "-"


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


Run = TypeVar("Run", bound=Turn)


class Column(NamedTuple, Generic[Run]):
    """A title, and what stands under it for the runs of one contender among those of all."""

    title: str
    cell: Callable[[Sequence[Run], Sequence[Run]], str]


def most(title: str, form: str, figure: Callable[[Run], float]) -> Column[Run]:
    """The largest of all turns: what else the machine does can only make a turn slower."""
    return Column(title, lambda own, _: format(max(map(figure, own)), form))


def least(title: str, form: str, figure: Callable[[Run], float]) -> Column[Run]:
    """The smallest of all turns."""
    return Column(title, lambda own, _: format(min(map(figure, own)), form))


def middle(title: str, form: str, figure: Callable[[Run], float]) -> Column[Run]:
    """The median of all turns."""
    return Column(title, lambda own, _: format(median(map(figure, own)), form))


def times(base: str, name: str) -> Column[Run]:
    """How many times as fast as another contender."""

    def cell(own: Sequence[Run], all_runs: Sequence[Run]) -> str:
        found = ratio(own, [run for run in all_runs if run.contender == base])
        return NONE if found is None else f"{found:.2g}"

    return Column(f"times {name}", cell)


def ratio(runs: Sequence[Turn], others: Sequence[Turn]) -> float | None:
    """How many times as fast as others: each turn by itself, then the median of the turns."""
    by_turn = {other.turn: other.per_second for other in others}
    found = [run.per_second / by_turn[run.turn] for run in runs if run.turn in by_turn]
    return median(found) if found else None


def by_contender(columns: Sequence[Column[Run]], groups: Sequence[Sequence[Run]]) -> str:
    """A table with a row for each contender of each group; ratios are taken within a group."""
    rows = []
    for runs in groups:
        for name in dict.fromkeys(run.contender for run in runs):
            own = [run for run in runs if run.contender == name]
            rows.append([column.cell(own, runs) for column in columns])
    return table([column.title for column in columns], rows)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


Say = Callable[[str], None]


def say(text: str) -> None:
    """One line, at once."""
    print(text, file=sys.stderr, flush=True)
