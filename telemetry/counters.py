"""Counters and histograms that are cheap to feed: plain dictionaries, read at each scrape.

Those of prometheus_client take a lock and a lookup by labels each time, which for the three that a
message feeds was a twentieth of its total cost. Here that work is done once a scrape. Only one
thread may feed them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]


class Counter(Collector):
    """How often something happened, by labels."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = ()) -> None:
        self._family = (name, help_text, labels)
        self._counts: dict[Labels, int] = {} if labels else {(): 0}

    def add(self, labels: Labels = ()) -> None:
        """It happened once more."""
        counts = self._counts
        counts[labels] = counts.get(labels, 0) + 1

    def describe(self) -> Iterator[CounterMetricFamily]:
        """Nothing: the registry need not collect in order to register."""
        yield from ()

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counts at this moment."""
        name, help_text, labels = self._family
        family = CounterMetricFamily(name, help_text, labels=labels)
        for values, count in self._counts.items():
            family.add_metric(values, count)
        yield family


class Histogram(Collector):
    """How long things took, in seconds, by labels; `bounds` are the buckets' upper ends."""

    def __init__(
        self, name: str, help_text: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> None:
        self._family = (name, help_text, labels)
        self._bounds = bounds
        self._cells: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def add(self, seconds: float, labels: Labels = ()) -> None:
        """Count one more duration."""
        cells = self._cells.get(labels)
        if cells is None:
            cells = self._cells[labels] = [0] * (len(self._bounds) + 1)
            self._sums[labels] = 0.0
        cells[bisect_left(self._bounds, seconds)] += 1
        self._sums[labels] += seconds

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """Nothing: the registry need not collect in order to register."""
        yield from ()

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The cumulated buckets at this moment."""
        name, help_text, labels = self._family
        family = HistogramMetricFamily(name, help_text, labels=labels)
        ends = [*map(floatToGoString, self._bounds), "+Inf"]
        for values, cells in self._cells.items():
            below = [sum(cells[: at + 1]) for at in range(len(cells))]
            family.add_metric(values, list(zip(ends, below, strict=True)), self._sums[values])
        yield family
