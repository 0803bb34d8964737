"""The guard turns attempts into outcomes, under every limit, without wasting an attempt."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from actors.breaker import BreakerSettings
from actors.guard import Ended, Exhausted, Guard, Later, Limits, Retry, Verdict
from actors.rate import Rate
from messages.events import AttemptEnded, BreakerMoved, Event
from messages.model import Refused, Unanswered, Unavailable
from tests.actors.fakes import Script, envelope, ignore

PATIENT = Limits(retry=Retry(attempts=3, first_delay=0.5, max_delay=4))


def guard(provider: Script, limits: Limits = PATIENT, events: list[Event] | None = None) -> Guard:
    observe = ignore if events is None else events.append
    return Guard("provider", provider, limits, observe, draw=lambda: 1.0)


async def test_an_accepted_message_is_sent(autojump_clock: MockClock) -> None:
    assert await guard(Script()).deliver(envelope("a")) == Ended("sent", "accepted")


async def test_a_refusal_is_not_repeated(autojump_clock: MockClock) -> None:
    provider = Script(a=[Refused("no such number")])
    verdict = await guard(provider).deliver(envelope("a"))
    assert verdict == Ended("failed", "rejected", "no such number")
    assert provider.ids == ["a"]


async def test_passing_failures_are_tried_again_with_growing_waits(
    autojump_clock: MockClock,
) -> None:
    provider = Script(a=[Unavailable("503"), Unavailable("503")])
    assert await guard(provider).deliver(envelope("a")) == Ended("sent", "accepted")
    assert provider.times == pytest.approx([0.0, 0.5, 1.5])


async def test_attempts_are_bounded(autojump_clock: MockClock) -> None:
    provider = Script(a=[Unavailable("busy")] * 9)
    one = envelope("a")
    assert await guard(provider).deliver(one) == Exhausted("busy (3 attempts)")
    assert one.attempts == 3


async def test_a_long_wait_leaves_the_worker(autojump_clock: MockClock) -> None:
    limits = Limits(retry=Retry(attempts=2, first_delay=6, max_delay=60))
    it = guard(Script(a=[Unavailable("503")]), limits)
    one = envelope("a")
    assert await it.deliver(one) == Later(6.0)
    assert await it.deliver(one) == Ended("sent", "accepted")


async def test_an_unknown_outcome_is_held(autojump_clock: MockClock) -> None:
    provider = Script(a=[Unanswered("disconnected")])
    verdict = await guard(provider).deliver(envelope("a"))
    assert verdict == Ended("in-doubt", "unknown-outcome", "disconnected")
    assert provider.ids == ["a"]


async def test_an_unknown_outcome_is_repeated_where_repeats_are_recognised(
    autojump_clock: MockClock,
) -> None:
    provider = Script(a=[Unanswered("disconnected")])
    limits = replace(PATIENT, on_unknown_outcome="retry")
    assert await guard(provider, limits).deliver(envelope("a")) == Ended("sent", "accepted")


async def test_a_call_that_takes_too_long_after_its_start_is_in_doubt(
    autojump_clock: MockClock,
) -> None:
    limits = replace(PATIENT, timeout=2)
    verdict = await guard(Script(a=[100.0]), limits).deliver(envelope("a"))
    assert verdict == Ended("in-doubt", "unknown-outcome", "no answer within 2 s")
    assert trio.current_time() == pytest.approx(2)


async def test_retry_after_pauses_the_whole_provider(autojump_clock: MockClock) -> None:
    provider = Script(a=[Unavailable("429", retry_after=7, throttled=True)])
    it = guard(provider)
    verdicts: list[Verdict] = []

    async def deliver(identity: str) -> None:
        verdicts.append(await it.deliver(envelope(identity)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(deliver, "a")
        await trio.sleep(0.1)
        nursery.start_soon(deliver, "b")
    assert sorted(provider.times[1:]) == pytest.approx([7.0, 7.0])
    assert verdicts == [Ended("sent", "accepted")] * 2


async def test_never_more_calls_than_the_concurrency(autojump_clock: MockClock) -> None:
    provider = Script(1.0)
    it = guard(provider, replace(PATIENT, concurrency=4))
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(it.deliver, envelope(str(number)))
    assert provider.most_open == 4
    assert trio.current_time() == pytest.approx(5)


async def test_waiting_for_a_rate_uses_up_no_attempt(autojump_clock: MockClock) -> None:
    provider = Script()
    it = guard(provider, replace(PATIENT, rates=(Rate(1, 60),), timeout=5))
    envelopes = [envelope(str(number)) for number in range(4)]
    async with trio.open_nursery() as nursery:
        for one in envelopes:
            nursery.start_soon(it.deliver, one)
    assert provider.times == pytest.approx([0, 60, 120, 180], abs=0.5)
    assert [one.attempts for one in envelopes] == [1, 1, 1, 1]


async def test_an_open_breaker_makes_messages_wait_and_costs_no_attempt(
    autojump_clock: MockClock,
) -> None:
    events: list[Event] = []
    provider = Script(a=[Unavailable("down")] * 2)
    it = guard(provider, replace(PATIENT, breaker=BreakerSettings(2, 30)), events)
    one, other = envelope("a"), envelope("b")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.deliver, one)
        await trio.sleep(1)
        nursery.start_soon(it.deliver, other)
    assert provider.times == pytest.approx([0, 0.5, 30.5, 30.5])
    assert other.attempts == 1
    assert [event.state for event in events if isinstance(event, BreakerMoved)] == [
        "open",
        "half-open",
        "closed",
    ]


async def test_every_attempt_is_observed(autojump_clock: MockClock) -> None:
    events: list[Event] = []
    await guard(Script(a=[Unavailable("503"), 0.25]), events=events).deliver(envelope("a"))
    attempts = [event for event in events if isinstance(event, AttemptEnded)]
    assert [(one.result, one.seconds) for one in attempts] == [
        ("unavailable", 0.0),
        ("accepted", pytest.approx(0.25)),
    ]


async def test_statistics_tell_who_waits_and_who_flies(autojump_clock: MockClock) -> None:
    it = guard(Script(1.0), replace(PATIENT, concurrency=1))
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(it.deliver, envelope(str(number)))
        await trio.sleep(0.5)
        now = it.statistics()
    assert (now.in_flight, now.waiting, now.breaker) == (1, 2, "closed")
