"""Why an attempt failed, a breaker moved and a delivery ended: in a word, and for people."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from carillon.actors.provider.breaker import BreakerSettings
from carillon.actors.provider.limits import Limits, Retry
from carillon.messages.events import AttemptEnded, BreakerMoved, Event, ProviderThrottled
from carillon.messages.model import Accepted, Attempt, Cause, Refused, Unanswered, Unavailable
from tests.actors.fakes import Caller, Script, envelope
from tests.actors.provider.test_guard import caller, guard
from tests.actors.workshop import Workshop

LIMITS = Limits(
    retry=Retry(2, 0.1, 0.1), breaker=BreakerSettings(failures=2, cooldown=30), timeout=5
)
DEAD = Unavailable("sms-service: connection refused", cause=Cause("refused"))


@pytest.mark.parametrize(
    ("attempt", "status", "kind"),
    [
        (Accepted("m-1", 202), 202, None),
        (Refused("answered 401", cause=Cause("http-4xx", 401)), 401, "http-4xx"),
        (Unanswered("no answer", Cause("reset")), None, "reset"),
        (Refused("of which no cause is known"), None, None),
    ],
)
async def test_an_attempt_tells_its_status_and_its_kind(
    attempt: Attempt, status: int | None, kind: str | None, autojump_clock: MockClock
) -> None:
    events: list[Event] = []
    await caller(Script(a=[attempt]), LIMITS, events).attempt(envelope("a"))
    (ended,) = [event for event in events if isinstance(event, AttemptEnded)]
    assert (ended.status, ended.kind) == (status, kind)


async def test_a_call_that_takes_too_long_is_a_timeout(autojump_clock: MockClock) -> None:
    workshop = Workshop(guard(Script(a=[90.0]), LIMITS))
    async with workshop.running():
        workshop.put("a")
    receipt = workshop.receipts["a"]
    assert (receipt.outcome, receipt.cause) == ("in-doubt", Cause("timeout"))


async def test_a_breaker_says_what_moved_it(autojump_clock: MockClock) -> None:
    events: list[Event] = []
    it = guard(Script(a=[DEAD, DEAD]), LIMITS, events)
    await Caller(it).deliver(envelope("a"))
    await trio.sleep(30)
    await Caller(it).deliver(envelope("b"))
    assert [event for event in events if isinstance(event, BreakerMoved)] == [
        BreakerMoved("provider", "open", DEAD.error, 2, Cause("refused")),
        BreakerMoved("provider", "half-open", "the cooldown is over: one call probes", 2),
        BreakerMoved("provider", "closed", "the provider answers", 0),
    ]


async def test_an_operator_who_closes_a_breaker_is_the_reason(autojump_clock: MockClock) -> None:
    events: list[Event] = []
    it = guard(Script(a=[DEAD, DEAD]), LIMITS, events)
    await Caller(it).deliver(envelope("a"))
    it.close_breaker()
    assert events[-1] == BreakerMoved("provider", "closed", "an operator closed it", 0)


async def test_throttling_is_told_when_it_lasts_longer_than_was_known(
    autojump_clock: MockClock,
) -> None:
    events: list[Event] = []
    slow = Unavailable("answered 429", 7.0, throttled=True, cause=Cause("http-4xx", 429))
    it = guard(Script(a=[slow], b=[slow]), LIMITS, events)
    await Caller(it).attempt(envelope("a"))
    await Caller(it).attempt(envelope("b"))
    told = [event for event in events if isinstance(event, ProviderThrottled)]
    assert told[0] == ProviderThrottled("provider", 7.0, "answered 429")


async def test_a_delivery_ends_with_the_cause_of_its_last_attempt(
    autojump_clock: MockClock,
) -> None:
    busy = Unavailable("answered 503", cause=Cause("http-5xx", 503))
    refused = Refused("no", cause=Cause("http-4xx", 400))
    provider = Script(a=[busy, DEAD], b=[busy], c=[refused])
    workshop = Workshop(guard(provider, Limits(retry=Retry(2, 0.1, 0.1))))
    async with workshop.running():
        workshop.put("a", "b", "c")
    assert {name: one.cause for name, one in workshop.receipts.items()} == {
        "a": Cause("refused"),
        "b": None,
        "c": Cause("http-4xx", 400),
    }


async def test_one_that_expires_between_attempts_says_what_they_met(
    autojump_clock: MockClock,
) -> None:
    workshop = Workshop(guard(Script(a=[DEAD] * 9), Limits(retry=Retry(9, 1.0, 1.0))))
    async with workshop.running():
        workshop.put("a", expires_at=trio.current_time() + 2.5)
    receipt = workshop.receipts["a"]
    assert (receipt.outcome, receipt.cause) == ("expired", Cause("refused"))


async def test_the_last_call_is_remembered(autojump_clock: MockClock) -> None:
    it = guard(Script(a=[DEAD], b=[Accepted("m-1", 200)]), LIMITS)
    seen = [it.last_call]
    await Caller(it).attempt(envelope("a"))
    seen.append(it.last_call)
    assert it.failed_at == trio.current_time()
    await Caller(it).attempt(envelope("b"))
    assert [*seen, it.last_call] == [None, DEAD, Accepted("m-1")]
