"""Telemetry only observes: what an observer raises is told, and changes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest

from carillon.dispatches.collector import Collector
from carillon.messages.events import DeliveryDoubted, DeliveryEnded, Event, fenced, tell_all
from carillon.messages.model import Receipt

KINDS: tuple[type, ...] = get_args(Event)


def raises(_: object) -> None:
    raise ValueError("an observer's bug")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_observer_that_raises_keeps_no_event_from_the_others(kind: type[Event]) -> None:
    event = kind.__new__(kind)
    seen: list[Event] = []
    failures: list[tuple[object, str]] = []
    observe = tell_all(
        [raises, seen.append, raises], lambda told, error: failures.append((told, str(error)))
    )
    observe(event)
    assert [id(one) for one in seen] == [id(event)]
    assert [(id(told), text) for told, text in failures] == [(id(event), "an observer's bug")] * 2


def test_a_fenced_listener_tells_what_it_raised_and_goes_on() -> None:
    failures: list[object] = []
    listen = fenced(raises, lambda told, _: failures.append(told))
    listen("one")
    listen("two")
    assert failures == ["one", "two"]


@pytest.mark.parametrize("observe", [raises, lambda _: None])
def test_an_outcome_is_on_record_and_counted_whatever_is_observed(
    observe: Callable[[Event], None],
) -> None:
    recorded: list[Receipt] = []
    collector = Collector("d", recorded.append, tell_all([observe], lambda *_: None), 10, {})
    collector.expect(1)
    collector.feeding_ended()
    receipt = Receipt("x", "d", "sms", "user/u", "u", "sent", "accepted")
    collector.reply(receipt)
    assert recorded == [receipt]
    assert collector.report().counts == {"sent": 1}
    assert collector.complete.is_set()


def test_an_outcome_is_on_record_before_it_is_observed() -> None:
    steps: list[str] = []
    collector = Collector(
        "d", lambda _: steps.append("recorded"), lambda _: steps.append("observed"), 10, {}
    )
    collector.expect(1)
    collector.reply(Receipt("x", "d", "sms", "user/u", "u", "sent", "accepted"))
    assert steps == ["recorded", "observed"]


def test_a_doubt_takes_the_place_of_an_outcome_and_is_counted_for_it() -> None:
    events: list[Event] = []
    recorded: list[Receipt] = []
    collector = Collector("d", recorded.append, events.append, 10, {})
    collector.expect(2)
    sent = Receipt("i", "d", "sms", "k", "u", "sent", "accepted", provider="p")
    failed = replace(sent, delivery_id="j", outcome="failed", reason="rejected", error="no")
    for told in (sent, failed):
        collector.reply(told)
        collector.reply(replace(told, outcome="in-doubt", late=True, replaces=told.outcome))
    report = collector.report()
    assert {name: count for name, count in report.counts.items() if count} == {"in-doubt": 2}
    assert (report.failures_total, report.pending) == (2, 0)
    assert len(recorded) == 4
    assert [type(event) for event in events] == [DeliveryEnded, DeliveryDoubted] * 2
