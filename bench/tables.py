"""Markdown tables of runs: a row a contender, and what is said of several turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

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
