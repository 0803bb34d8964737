"""What one part of the bench says: a table, the runs behind it, and how it stands to its bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Literal

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
        bars = "\n".join(f"- {bar}" for bar in self.bars)
        return "\n\n".join(part for part in (f"### {self.title}", *self.tables, bars) if part)

    def as_json(self) -> dict[str, object]:
        """What `--json` writes of it."""
        return {
            "runs": [
                asdict(run) for run in self.runs if is_dataclass(run) and not isinstance(run, type)
            ],
            "bars": [{**asdict(bar), "met": bar.met} for bar in self.bars],
        }
