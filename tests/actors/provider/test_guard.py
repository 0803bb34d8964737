"""The guard judges attempts and says when calls may start, under every limit at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from math import inf
from time import time as real_time

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from carillon.actors.provider.breaker import BreakerSettings
from carillon.actors.provider.call import Finish, NextProvider, Requeue, RetryAfter
from carillon.actors.provider.guard import Guard
from carillon.actors.provider.limits import Limits, ProviderError, Retry
from carillon.actors.provider.quota import Quota
from carillon.actors.provider.rate_limit import Rate, WindowUse
from carillon.messages.events import AttemptEnded, BreakerMoved, ConnectionsLacking, Event
from carillon.messages.model import Attempt, Postponed, Refused, Unanswered, Unavailable
from tests.actors.fakes import Answers, Caller, Connects, Script, envelope, ignore

PATIENT = Limits(retry=Retry(attempts=3, first_delay=0.5, max_delay=4))
SENT = Finish("sent", "accepted")
NEW_YEAR = datetime(2026, 1, 1, 12, tzinfo=UTC)


def wall() -> datetime:
    return NEW_YEAR + timedelta(seconds=trio.current_time())


def guard(provider: Script, limits: Limits = PATIENT, events: list[Event] | None = None) -> Guard:
    observe = ignore if events is None else events.append
    return Guard("provider", provider, limits, observe, draw=lambda: 1.0, wall=wall)


def caller(provider: Script, limits: Limits = PATIENT, events: list[Event] | None = None) -> Caller:
    return Caller(guard(provider, limits, events))


async def all_at_once(it: Guard, number: int) -> None:
    """Deliver so many messages side by side, begun in the order of their names."""
    line = Caller(it)
    async with trio.open_nursery() as nursery:
        for name in range(number):
            nursery.start_soon(line.deliver, envelope(str(name)))
            await wait_all_tasks_blocked()


# How an attempt is judged


async def test_an_accepted_message_is_sent(autojump_clock: MockClock) -> None:
    one = envelope("a")
    assert await caller(Script()).attempt(one) == SENT
    assert (one.attempts, one.at, one.open_attempt) == (1, "provider", None)


async def test_a_refusal_is_not_repeated(autojump_clock: MockClock) -> None:
    provider = Script(a=[Refused("no such number", "invalid-address")])
    verdict = await caller(provider).attempt(envelope("a"))
    assert verdict == Finish("failed", "invalid-address", "no such number")


async def test_passing_failures_are_tried_again_with_growing_waits(
    autojump_clock: MockClock,
) -> None:
    provider = Script(a=[Unavailable("503"), Unavailable("503")])
    assert await caller(provider).deliver(envelope("a")) == SENT
    assert provider.times == pytest.approx([0.0, 0.5, 1.5])


async def test_attempts_are_bounded_and_the_last_failure_is_told(
    autojump_clock: MockClock,
) -> None:
    provider = Script(a=[Unavailable("busy")] * 9)
    one = envelope("a")
    assert await caller(provider).deliver(one) == NextProvider("busy (3 attempts)")
    assert one.attempts == 3


async def test_an_attempt_elsewhere_does_not_count_here(autojump_clock: MockClock) -> None:
    one = envelope("a")
    one.tries, one.attempts = {"other": 5}, 5
    assert await caller(Script(a=[Unavailable("503")])).attempt(one) == RetryAfter(0.5)
    assert (one.tries, one.attempts) == ({"other": 5, "provider": 1}, 6)


async def test_an_unknown_outcome_is_held(autojump_clock: MockClock) -> None:
    verdict = await caller(Script(a=[Unanswered("disconnected")])).attempt(envelope("a"))
    assert verdict == Finish("in-doubt", "unknown-outcome", "disconnected")


async def test_an_unknown_outcome_is_repeated_where_repeats_are_recognised(
    autojump_clock: MockClock,
) -> None:
    provider = Script(a=[Unanswered("disconnected")])
    limits = replace(PATIENT, on_unknown_outcome="retry")
    one = envelope("a")
    assert await caller(provider, limits).attempt(one) == RetryAfter(0.5)
    assert one.in_doubt
    assert await caller(provider, limits).attempt(one) == SENT


@pytest.mark.parametrize("then", [Refused("no"), Unavailable("503"), Unanswered("lost")])
async def test_after_an_unanswered_attempt_only_an_acceptance_dispels_the_doubt(
    then: Attempt, autojump_clock: MockClock
) -> None:
    limits = replace(PATIENT, on_unknown_outcome="retry", retry=Retry(attempts=2))
    answers = Answers()
    one = envelope("a", answers.reply)
    verdict = await caller(Script(a=[Unanswered("lost"), then]), limits).deliver(one)
    if isinstance(verdict, Finish):
        one.end(verdict.outcome, verdict.reason, verdict.error)
    else:
        one.end("failed", "exhausted", verdict.error)
    assert answers.outcomes() == {"a": "in-doubt"}


async def test_every_attempt_is_observed(autojump_clock: MockClock) -> None:
    events: list[Event] = []
    provider = Script(a=[Unavailable("503"), Connects(2.0, 0.25)])
    await caller(provider, events=events).deliver(envelope("a"))
    attempts = [event for event in events if isinstance(event, AttemptEnded)]
    assert [(one.result, one.seconds, one.error) for one in attempts] == [
        ("unavailable", 0.0, "503"),
        ("accepted", pytest.approx(0.25), ""),
    ]


# How long a call may take


async def test_a_call_that_takes_too_long_after_its_start_is_in_doubt(
    autojump_clock: MockClock,
) -> None:
    limits = replace(PATIENT, timeout=2)
    verdict = await caller(Script(a=[100.0]), limits).attempt(envelope("a"))
    assert verdict == Finish("in-doubt", "unknown-outcome", "no answer within 2 s")
    assert trio.current_time() == pytest.approx(2)


async def test_a_call_that_never_gets_to_its_start_is_tried_again(
    autojump_clock: MockClock,
) -> None:
    provider, one = Script(a=[Connects(100.0)]), envelope("a")
    assert await caller(provider, replace(PATIENT, timeout=2)).deliver(one) == SENT
    assert provider.times == pytest.approx([2.5])
    assert one.attempts == 2


async def test_connecting_takes_from_the_time_of_the_call(autojump_clock: MockClock) -> None:
    provider = Script(a=[Connects(1.5, 1.0)])
    verdict = await caller(provider, replace(PATIENT, timeout=2)).attempt(envelope("a"))
    assert isinstance(verdict, Finish)
    assert verdict.outcome == "in-doubt"
    assert trio.current_time() == pytest.approx(2)


async def test_what_expires_before_its_first_byte_is_no_attempt(
    autojump_clock: MockClock,
) -> None:
    provider, events = Script(a=[Connects(5.0)]), list[Event]()
    it = guard(provider, replace(PATIENT, rates=(Rate(1, 60.0),)), events)
    one = envelope("a", expires_at=3.0)
    verdict = await Caller(it).attempt(one)
    assert verdict == Finish("expired", "expired", "Expired before it could be sent")
    assert trio.current_time() == pytest.approx(3)
    assert (provider.ids, one.attempts, events) == ([], 0, [])
    now = it.statistics()
    assert (now.in_flight, now.failures_in_row, now.errors) == (0, 0, ())
    assert now.windows == [WindowUse(1, 60.0, 0)]


async def test_what_has_left_in_time_may_be_answered_later(autojump_clock: MockClock) -> None:
    provider = Script(a=[Connects(2.0, 5.0)])
    one = envelope("a", expires_at=3.0)
    assert await caller(provider).attempt(one) == SENT
    assert trio.current_time() == pytest.approx(7)


async def test_what_has_left_in_time_is_still_bounded_by_the_call_s_timeout(
    autojump_clock: MockClock,
) -> None:
    one = envelope("a", expires_at=1.0)
    verdict = await caller(Script(a=[99.0]), replace(PATIENT, timeout=4)).attempt(one)
    assert verdict == Finish("in-doubt", "unknown-outcome", "no answer within 4 s")
    assert trio.current_time() == pytest.approx(4)


async def test_a_timeout_before_the_expiry_is_a_passing_failure(
    autojump_clock: MockClock,
) -> None:
    one = envelope("a", expires_at=100.0)
    limits = replace(PATIENT, timeout=4)
    assert await caller(Script(a=[Connects(50.0)]), limits).attempt(one) == RetryAfter(0.5)
    assert trio.current_time() == pytest.approx(4)


async def test_what_is_postponed_is_no_attempt_and_no_failure(autojump_clock: MockClock) -> None:
    """Not one of the three attempts is used up, nothing is told of them, and no breaker opens."""
    lacking = Postponed("p: too many open files", 0.25)
    provider, events = Script(a=[lacking] * 20), list[Event]()
    once = replace(PATIENT, retry=Retry(1, 1, 1), breaker=BreakerSettings(failures=1, cooldown=60))
    it, one = guard(provider, once, events), envelope("a")
    assert await Caller(it).attempt(one) == RetryAfter(0.25)
    assert (one.attempts, one.tries["provider"], one.at, one.open_attempt) == (0, 0, None, None)
    assert await Caller(it).deliver(one) == SENT
    assert one.attempts == 1
    assert it.statistics().errors == ()
    kinds = [type(event) for event in events]
    assert kinds == [ConnectionsLacking, AttemptEnded]


async def test_a_lack_is_told_again_when_it_was_over_for_a_while(
    autojump_clock: MockClock,
) -> None:
    lacking = Postponed("p: too many open files", 0.25)
    events: list[Event] = []
    line = caller(Script(a=[lacking] * 2, b=[lacking] * 2), events=events)
    for name in "ab":
        await line.deliver(envelope(name))
        await trio.sleep(61)
    told = [event for event in events if isinstance(event, ConnectionsLacking)]
    assert told == [ConnectionsLacking("provider", lacking.error)] * 2


async def test_what_a_closed_connection_did_not_carry_goes_on_at_once(
    autojump_clock: MockClock,
) -> None:
    provider, events, one = Script(a=[Postponed("closed", 0.0)]), list[Event](), envelope("a")
    assert await caller(provider, events=events).attempt(one) == Requeue()
    assert (one.attempts, one.open_attempt, events) == (0, None, [])


async def test_no_byte_leaves_after_a_leap_of_time_over_the_deadline(
    mock_clock: MockClock,
) -> None:
    """The process stood still: whatever wakes first, a call that expired is not made."""
    it = guard(Script())
    for expires_at, expected in ((5.0, None), (inf, Unavailable("no connection within 30 s"))):
        one = envelope("a", expires_at=trio.current_time() + expires_at)
        permit = it.permit(None)
        call = it.call(one, permit)
        mock_clock.jump(31.0)
        assert await it.make(call) == expected
        assert call.started_at is None
        it.release(permit)


# Who may call when


async def test_never_more_calls_than_the_concurrency(autojump_clock: MockClock) -> None:
    provider = Script(1.0)
    await all_at_once(guard(provider, replace(PATIENT, concurrency=4)), 20)
    assert provider.most_open == 4
    assert trio.current_time() == pytest.approx(5)


async def test_waiting_for_a_rate_uses_up_no_attempt(autojump_clock: MockClock) -> None:
    provider = Script()
    it = caller(provider, replace(PATIENT, rates=(Rate(1, 60),), timeout=5))
    envelopes = [envelope(str(number)) for number in range(4)]
    async with trio.open_nursery() as nursery:
        for one in envelopes:
            nursery.start_soon(it.deliver, one)
    assert provider.times == pytest.approx([0, 60, 120, 180], abs=0.01)
    assert [one.attempts for one in envelopes] == [1, 1, 1, 1]


async def test_several_windows_hold_together(autojump_clock: MockClock) -> None:
    provider = Script()
    await all_at_once(guard(provider, replace(PATIENT, rates=(Rate(2, 1), Rate(5, 60)))), 8)
    assert provider.times == pytest.approx([0, 0, 1, 1, 2, 60, 60, 61], abs=0.01)


async def test_a_quota_holds_until_its_reset(autojump_clock: MockClock) -> None:
    provider = Script()
    it = guard(provider, replace(PATIENT, quota=Quota(2, time(0, 0), "UTC")))
    await all_at_once(it, 3)
    assert provider.times == pytest.approx([0, 0, 12 * 3600])
    now = it.statistics()
    assert (now.quota_left, now.quota_ends) == (1, datetime(2026, 1, 3, tzinfo=UTC))


async def test_retry_after_pauses_the_whole_provider_and_not_the_message(
    autojump_clock: MockClock,
) -> None:
    provider = Script(a=[Unavailable("429", retry_after=7, throttled=True)])
    it, events = guard(provider), list[float]()
    line, one, other = Caller(it), envelope("a"), envelope("b")

    async def deliver_later() -> None:
        await trio.sleep(0.1)
        assert await line.deliver(other) == SENT
        events.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(deliver_later)
        assert await line.deliver(one) == SENT
    assert provider.times == pytest.approx([0.0, 7.0, 7.0])
    assert (one.attempts, other.attempts) == (2, 1)


async def test_throttling_without_a_time_pauses_for_longer_and_longer(
    autojump_clock: MockClock,
) -> None:
    provider = Script(a=[Unavailable("429", throttled=True)] * 2)
    it = guard(provider)
    line, one = Caller(it), envelope("a")
    assert isinstance(await line.attempt(one), RetryAfter)
    assert it.statistics().paused_for == pytest.approx(0.5)
    await trio.sleep(0.5)
    assert isinstance(await line.attempt(one), RetryAfter)
    assert it.statistics().paused_for == pytest.approx(1.0)


async def test_a_shorter_pause_does_not_end_a_longer_one(autojump_clock: MockClock) -> None:
    provider = Script(
        a=[Unavailable("503", retry_after=60)], b=[Connects(1.0, Unavailable("503", retry_after=5))]
    )
    it = guard(provider)
    line = Caller(it)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.attempt, envelope("a"))
        nursery.start_soon(line.attempt, envelope("b"))
    assert it.statistics().paused_for == pytest.approx(59)


async def test_who_answers_is_there_whatever_it_says(autojump_clock: MockClock) -> None:
    """Refusals and throttling do not open the breaker, and close it when they follow failures."""
    scripted: list[Attempt] = [
        Refused("no"),
        Unavailable("429", throttled=True),
        Unavailable("503", retry_after=1),
    ]
    provider = Script(**{f"m{number}": [act] for number, act in enumerate(scripted * 3)})
    it = guard(provider, replace(PATIENT, breaker=BreakerSettings(1, 30)))
    line = Caller(it)
    for number in range(9):
        await line.attempt(envelope(f"m{number}"))
    assert it.statistics().breaker == "closed"


async def test_an_open_breaker_lets_one_probe_through_and_costs_no_attempt(
    autojump_clock: MockClock,
) -> None:
    events: list[Event] = []
    provider = Script(a=[Unavailable("down")] * 2, b=[5.0], c=[5.0])
    limits = replace(PATIENT, breaker=BreakerSettings(2, 30))
    line = caller(provider, limits, events)
    envelopes = [envelope(name) for name in "abc"]
    await line.attempt(envelopes[0])
    await line.attempt(envelopes[0])
    async with trio.open_nursery() as nursery:
        for one in envelopes[1:]:
            nursery.start_soon(line.deliver, one)
    assert provider.times == pytest.approx([0, 0, 30, 35])
    assert [one.attempts for one in envelopes] == [2, 1, 1]
    moves = [event.state for event in events if isinstance(event, BreakerMoved)]
    assert moves == ["open", "half-open", "closed"]


async def test_a_failed_probe_keeps_the_others_away(autojump_clock: MockClock) -> None:
    provider = Script(a=[Unavailable("down")] * 2)
    it = guard(provider, replace(PATIENT, breaker=BreakerSettings(1, 30)))
    line = Caller(it)
    await line.attempt(envelope("a"))
    await line.attempt(envelope("a"))
    assert it.opens_at(trio.current_time()) == pytest.approx(60)


async def test_a_probe_that_expires_or_crashes_leaves_the_next_call_as_the_probe(
    autojump_clock: MockClock,
) -> None:
    provider = Script(a=[Unavailable("down")], b=[Connects(50.0)], c=[RuntimeError("bug")], d=[5.0])
    it = guard(provider, replace(PATIENT, breaker=BreakerSettings(1, 30)))
    line = Caller(it)
    await line.attempt(envelope("a"))
    await line.attempt(envelope("b", expires_at=35.0))
    with pytest.raises(RuntimeError):
        await line.attempt(envelope("c"))
    assert it.opens_at(trio.current_time()) <= trio.current_time() == pytest.approx(35)
    permit = it.permit(None)
    assert it.opens_at(trio.current_time()) == inf
    it.release(permit)


async def test_an_operator_closes_the_breaker(autojump_clock: MockClock) -> None:
    provider = Script(a=[Unavailable("down")])
    it = guard(provider, replace(PATIENT, breaker=BreakerSettings(1, 3600)))
    line = Caller(it)
    await line.attempt(envelope("a"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.attempt, envelope("b"))
        await trio.sleep(10)
        it.close_breaker()
    assert provider.times == pytest.approx([0, 10])


async def test_a_crashed_call_gives_its_place_back(autojump_clock: MockClock) -> None:
    provider = Script(a=[RuntimeError("bug")])
    it = guard(provider, replace(PATIENT, concurrency=1))
    line = Caller(it)
    with pytest.raises(RuntimeError):
        await line.attempt(envelope("a"))
    assert await line.attempt(envelope("b")) == SENT
    assert it.statistics().in_flight == 0


async def test_a_cancelled_call_that_had_started_stays_marked_as_open(
    autojump_clock: MockClock,
) -> None:
    one = envelope("a")
    with trio.move_on_after(1):
        await caller(Script(a=[50.0])).attempt(one)
    assert (one.open_attempt, one.repeatable) == ("provider", False)
    limits = replace(PATIENT, on_unknown_outcome="retry")
    with trio.move_on_after(1):
        await caller(Script(a=[50.0]), limits).attempt(one)
    assert one.repeatable


# Other limits, while it runs


async def test_a_higher_concurrency_is_used_at_once(autojump_clock: MockClock) -> None:
    provider = Script(10.0)
    it = guard(provider, replace(PATIENT, concurrency=1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(all_at_once, it, 4)
        await trio.sleep(3)
        it.apply(replace(PATIENT, concurrency=3))
    assert provider.times == pytest.approx([0, 3, 3, 10])


async def test_a_lower_concurrency_lets_open_calls_end_and_starts_no_other(
    autojump_clock: MockClock,
) -> None:
    provider = Script(10.0, **{"0": [4.0], "1": [6.0]})
    it = guard(provider, replace(PATIENT, concurrency=3))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(all_at_once, it, 5)
        await trio.sleep(1)
        it.apply(replace(PATIENT, concurrency=1))
        await trio.sleep(0.5)
        assert it.statistics().in_flight == 3
    assert provider.times[:3] == [0, 0, 0]
    assert provider.times[3:] == pytest.approx([10, 20])


async def test_a_pause_starts_nothing_and_interrupts_nothing(autojump_clock: MockClock) -> None:
    provider = Script(10.0)
    it = guard(provider, replace(PATIENT, concurrency=1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(all_at_once, it, 2)
        await trio.sleep(1)
        it.apply(replace(PATIENT, concurrency=1, paused=True))
        await trio.sleep(49)
        assert (it.statistics().in_flight, len(provider.calls)) == (0, 1)
        it.apply(replace(PATIENT, concurrency=1))
    assert provider.times == pytest.approx([0, 50])


async def test_another_rate_counts_what_was_sent_before(autojump_clock: MockClock) -> None:
    provider = Script()
    it = guard(provider, replace(PATIENT, rates=(Rate(2, 10),)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(all_at_once, it, 7)
        await trio.sleep(1)
        it.apply(replace(PATIENT, rates=(Rate(4, 10),)))
        await trio.sleep(1)
        it.apply(replace(PATIENT, rates=(Rate(1, 10),)))
        await trio.sleep(1)
        it.apply(PATIENT)
    assert provider.times == pytest.approx([0, 0, 1, 1, 3, 3, 3], abs=0.01)


async def test_a_lower_rate_waits_for_the_past(autojump_clock: MockClock) -> None:
    provider = Script()
    it = guard(provider, replace(PATIENT, rates=(Rate(3, 10),)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(all_at_once, it, 5)
        await trio.sleep(5)
        it.apply(replace(PATIENT, rates=(Rate(1, 10),)))
    assert provider.times == pytest.approx([0, 0, 0, 10, 20], abs=0.01)


async def test_another_timeout_is_for_the_next_call(autojump_clock: MockClock) -> None:
    provider, answers = Script(a=[99.0], b=[99.0]), list[float]()
    it = guard(provider, replace(PATIENT, concurrency=1, timeout=10))
    line = Caller(it)

    async def call(name: str) -> None:
        await line.attempt(envelope(name))
        answers.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, "a")
        await trio.sleep(1)
        it.apply(replace(PATIENT, concurrency=1, timeout=2))
        nursery.start_soon(call, "b")
    assert answers == pytest.approx([10, 12])


async def test_other_settings_of_the_breaker_and_of_retries_hold_from_the_next_failure_on(
    autojump_clock: MockClock,
) -> None:
    it = guard(Script(a=[Unavailable("down")] * 3))
    line, one = Caller(it), envelope("a")
    assert await line.attempt(one) == RetryAfter(0.5)
    it.apply(Limits(retry=Retry(2, 9, 9), breaker=BreakerSettings(2, 77)))
    assert await line.attempt(one) == NextProvider("down (2 attempts)")
    assert it.opens_at(trio.current_time()) == pytest.approx(77)


# What it tells


async def test_it_takes_nothing_while_paused_throttled_broken_or_out_of_quota(
    autojump_clock: MockClock,
) -> None:
    fit = guard(Script())
    assert fit.takes(trio.current_time(), begun=False)
    fit.apply(replace(PATIENT, paused=True))
    assert not fit.takes(trio.current_time(), begun=False)
    assert not fit.takes(trio.current_time(), begun=True)

    throttled = guard(Script(a=[Unavailable("429", retry_after=5)]))
    await Caller(throttled).attempt(envelope("a"))
    assert not throttled.takes(trio.current_time(), begun=True)
    await trio.sleep(5)
    assert throttled.takes(trio.current_time(), begun=False)

    broken = guard(Script(a=[Unavailable("down")]), Limits(breaker=BreakerSettings(1, 30)))
    await Caller(broken).attempt(envelope("a"))
    assert not broken.takes(trio.current_time(), begun=True)
    await trio.sleep(30)
    assert broken.takes(trio.current_time(), begun=False)
    broken.permit(None)
    assert not broken.takes(trio.current_time(), begun=True)  # a probe is out

    spent = guard(Script(), Limits(quota=Quota(1, time(0, 0), "UTC")))
    await Caller(spent).attempt(envelope("a"))
    assert not spent.takes(trio.current_time(), begun=True)


async def test_a_draining_provider_takes_only_what_it_has_begun(mock_clock: MockClock) -> None:
    it = guard(Script(), replace(PATIENT, draining=True))
    assert not it.takes(trio.current_time(), begun=False)
    assert it.takes(trio.current_time(), begun=True)


async def test_a_busy_provider_is_fit(autojump_clock: MockClock) -> None:
    it = guard(Script(), replace(PATIENT, concurrency=1, rates=(Rate(1, 60),)))
    it.permit(None)
    assert it.opens_at(trio.current_time()) == inf
    assert it.takes(trio.current_time(), begun=False)


async def test_it_says_why_a_call_must_wait_and_for_how_long(autojump_clock: MockClock) -> None:
    def hold(it: Guard) -> tuple[str | None, float | None]:
        now = it.statistics()
        return now.hold, None if now.opens_in is None else round(now.opens_in, 3)

    it = guard(Script())
    assert hold(it) == (None, 0.0)
    it.apply(replace(PATIENT, paused=True))
    assert hold(it) == ("paused", None)
    it.apply(replace(PATIENT, draining=True))
    assert it.statistics().hold == "draining"

    limited = guard(Script(), replace(PATIENT, rates=(Rate(1, 60),)))
    await Caller(limited).attempt(envelope("a"))
    assert hold(limited) == ("rate", 60)

    busy = guard(Script(), replace(PATIENT, concurrency=1))
    busy.permit(None)
    assert hold(busy) == ("concurrency", None)

    throttled = guard(Script(a=[Unavailable("429", retry_after=5)]))
    await Caller(throttled).attempt(envelope("a"))
    assert hold(throttled) == ("throttled", 5)

    broken = guard(Script(a=[Unavailable("down")]), Limits(breaker=BreakerSettings(1, 30)))
    await Caller(broken).attempt(envelope("a"))
    assert hold(broken) == ("breaker", 30)

    spent = guard(Script(), Limits(quota=Quota(1, time(0, 0), "UTC")))
    await Caller(spent).attempt(envelope("a"))
    assert hold(spent) == ("quota", 12 * 3600)


async def test_statistics_tell_what_flies_and_how_full_the_windows_are(
    autojump_clock: MockClock,
) -> None:
    it = guard(Script(1.0), replace(PATIENT, concurrency=2, rates=(Rate(5, 60), Rate(9, 3600))))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(all_at_once, it, 3)
        await trio.sleep(0.5)
        now = it.statistics()
    assert (now.in_flight, now.breaker, now.quota_left) == (2, "closed", None)
    assert now.windows == [WindowUse(5, 60, 2), WindowUse(9, 3600, 2)]
    assert it.statistics().in_flight == 0


async def test_statistics_keep_the_last_error_of_each_kind(autojump_clock: MockClock) -> None:
    provider = Script(
        a=[Unavailable("503"), Unavailable("502")],
        b=[Unavailable("429", throttled=True)],
        c=[Unanswered("lost")],
        d=[Refused("no")],
    )
    it = guard(provider)
    line = Caller(it)
    for name in "abcd":
        await line.deliver(envelope(name))
    errors = {error.kind: error for error in it.statistics().errors}
    last = errors["unavailable"]
    assert last == ProviderError("unavailable", 2, "502", last.at)
    assert abs(last.at - real_time()) < 60
    assert {kind: error.count for kind, error in errors.items()} == {
        "unavailable": 2,
        "throttled": 1,
        "unanswered": 1,
        "refused": 1,
    }


async def test_failures_in_a_row_are_told(autojump_clock: MockClock) -> None:
    it = guard(Script(a=[Unavailable("down")] * 2))
    line, one = Caller(it), envelope("a")
    await line.attempt(one)
    await line.attempt(one)
    assert it.statistics().failures_in_row == 2
    await line.attempt(one)
    assert it.statistics().failures_in_row == 0


# Who is told


async def test_listeners_are_told_when_a_call_ends_but_the_one_that_looks_for_itself(
    mock_clock: MockClock,
) -> None:
    it, told = guard(Script()), list[str]()

    def first() -> None:
        told.append("first")

    def second() -> None:
        told.append("second")

    it.listen(first)
    it.listen(second)
    it.release(it.permit(None), besides=first)
    assert told == ["second"]


async def test_a_turn_is_over_with_its_call(mock_clock: MockClock) -> None:
    it = guard(Script())
    assert it.turns.take("x")
    permit = it.permit("x")
    assert not it.turns.take("x")
    it.release(permit)
    assert it.turns.take("x")
