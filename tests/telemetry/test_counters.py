"""Tallies say in Prometheus' words what prometheus_client's own metrics would say."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as ClientCounter
from prometheus_client import Histogram as ClientHistogram
from prometheus_client.exposition import generate_latest

from carillon.telemetry.counters import Counter, Histogram

BOUNDS = (0.1, 1, 5)


def exposed(registry: CollectorRegistry) -> list[str]:
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if "_created" not in line]


def test_a_count_reads_like_a_counter() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    count = Counter("things", "Things.", ["kind"])
    ours.register(count)
    counter = ClientCounter("things", "Things.", ["kind"], registry=theirs)
    for kind in ("a", 'b"\n', "a"):
        count.add((kind,))
        counter.labels(kind).inc()
    assert exposed(ours) == exposed(theirs)


def test_a_count_without_labels_begins_at_nought() -> None:
    registry = CollectorRegistry()
    registry.register(Counter("things", "Things."))
    assert "things_total 0.0" in exposed(registry)


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.100001, 5.0, 7.5])
def test_a_spread_reads_like_a_histogram(seconds: float) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    spread = Histogram("took_seconds", "Took.", BOUNDS, ["kind"])
    ours.register(spread)
    histogram = ClientHistogram("took_seconds", "Took.", ["kind"], buckets=BOUNDS, registry=theirs)
    for value in (seconds, 0.5):
        spread.add(value, ("a",))
        histogram.labels("a").observe(value)
    assert sorted(exposed(ours)) == sorted(exposed(theirs))
