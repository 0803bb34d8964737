"""Counters and histograms that are cheap to feed: plain dictionaries, read at each scrape.

Those of prometheus_client take a lock and a lookup by labels each time, which for the three that a
message feeds was a twentieth of its total cost. Here that work is done once a scrape, and what is
fed by the thousand costs less for each. Only one thread may feed and read them.
"""

from __future__ import annotations

import collections
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]
Step = Callable[[], None]


def nothing() -> None:
    """The step that does nothing."""


class Counter(Collector):
    """How often something happened, by labels; `before` is called before it is read."""

    def __init__(
        self, name: str, help_text: str, labels: Sequence[str] = (), before: Step = nothing
    ) -> None:
        self._family = (name, help_text, labels)
        self._before = before
        self._counts = collections.Counter[Labels](() if labels else {(): 0})

    def add(self, labels: Labels = ()) -> None:
        """It happened once more."""
        self._counts[labels] += 1

    def add_all(self, labels: Iterable[Labels]) -> None:
        """It happened once with each of these."""
        self._counts.update(labels)

    def describe(self) -> Iterator[CounterMetricFamily]:
        """Nothing: the registry need not collect in order to register."""
        yield from ()

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counts at this moment."""
        self._before()
        name, help_text, labels = self._family
        family = CounterMetricFamily(name, help_text, labels=labels)
        for values, count in self._counts.items():
            family.add_metric(values, count)
        yield family


class Histogram(Collector):
    """How long things took, in seconds, by labels; `bounds` are the buckets' upper ends.

    `before` is called before it is read.
    """

    def __init__(
        self,
        name: str,
        help_text: str,
        bounds: Sequence[float],
        labels: Sequence[str] = (),
        before: Step = nothing,
    ) -> None:
        self._family = (name, help_text, labels)
        self._before = before
        self._bounds = bounds
        self._cells: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def add(self, seconds: float, labels: Labels = ()) -> None:
        """Count one more duration."""
        self._cells_of(labels)[bisect_left(self._bounds, seconds)] += 1
        self._sums[labels] += seconds

    def add_all(self, durations: Iterable[float], labels: Labels = ()) -> None:
        """Count durations of the same labels."""
        found = sorted(durations)
        cells, below = self._cells_of(labels), 0
        for at, bound in enumerate(self._bounds):
            within = bisect_right(found, bound, below)
            cells[at] += within - below
            below = within
        cells[-1] += len(found) - below
        self._sums[labels] += sum(found)

    def _cells_of(self, labels: Labels) -> list[int]:
        cells = self._cells.get(labels)
        if cells is None:
            cells = self._cells[labels] = [0] * (len(self._bounds) + 1)
            self._sums[labels] = 0.0
        return cells

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """Nothing: the registry need not collect in order to register."""
        yield from ()

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The cumulated buckets at this moment."""
        self._before()
        name, help_text, labels = self._family
        family = HistogramMetricFamily(name, help_text, labels=labels)
        ends = [*map(floatToGoString, self._bounds), "+Inf"]
        for values, cells in self._cells.items():
            below = [sum(cells[: at + 1]) for at in range(len(cells))]
            family.add_metric(values, list(zip(ends, below, strict=True)), self._sums[values])
        yield family
