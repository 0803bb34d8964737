"""Tallies say in Prometheus' words what prometheus_client's own metrics would say."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as ClientCounter
from prometheus_client import Histogram as ClientHistogram
from prometheus_client.exposition import generate_latest

from carillon.messages.events import AttemptEnded, DeliveryEnded
from carillon.messages.model import Receipt
from carillon.telemetry.counters import Counter, Histogram
from carillon.telemetry.metrics import MOST_GATHERED, Metrics

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


@pytest.mark.parametrize("number", [1, 7, 2000])
def test_what_is_counted_together_reads_as_if_it_came_one_by_one(number: int) -> None:
    seconds = [(7 * at) % 61 / 8 for at in range(number)]
    kinds = [("a",) if one < 3 else ("b",) for one in seconds]
    together, apart = CollectorRegistry(), CollectorRegistry()
    for registry in (together, apart):
        count, spread = Counter("things", "Things.", ["kind"]), Histogram("took", "Took.", BOUNDS)
        registry.register(count)
        registry.register(spread)
        if registry is together:
            count.add_all(kinds)
            spread.add_all(seconds)
        else:
            for kind, one in zip(kinds, seconds, strict=True):
                count.add(kind)
                spread.add(one)
    assert exposed(together) == exposed(apart)
    assert f"took_count {float(number)}" in exposed(together)


def test_what_is_gathered_is_counted_before_it_is_read() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    labels = {"channel": "sms", "provider": "p"}
    for number in range(1, 2 * MOST_GATHERED + 3):
        metrics(AttemptEnded("id", "d", "sms", "p", "accepted", 0.004))
        receipt = Receipt("id", "d", "sms", "k", "u", "sent", "accepted", "", "p", 1)
        metrics(DeliveryEnded(receipt))
        if number in {1, 2, MOST_GATHERED, 2 * MOST_GATHERED + 2}:
            for name, more in (
                ("carillon_attempts_total", {"result": "accepted"}),
                ("carillon_attempt_duration_seconds_count", {}),
                ("carillon_deliveries_total", {"outcome": "sent", "reason": "accepted"}),
            ):
                assert registry.get_sample_value(name, labels | more) == number
