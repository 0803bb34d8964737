"""A channel's task makes its calls, and sees each message to its outcome or back."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from carillon.actors.open_calls import GRACE, LATE
from carillon.actors.provider.breaker import BreakerSettings
from carillon.actors.provider.limits import Limits, Retry
from carillon.http_client.ports import Started
from carillon.messages.model import (
    Accepted,
    Attempt,
    Delivery,
    Refused,
    TextContent,
    Unanswered,
    Unavailable,
)
from tests.actors.fakes import Act, Breaks, Connects, Script
from tests.actors.workshop import Workshop, guard, route

TWICE = Limits(retry=Retry(attempts=2, first_delay=0.1, max_delay=1))


def workshop(*providers: Script, limits: Limits = TWICE, parking: int = 1000) -> Workshop:
    guards = [guard(f"p{number}", it, limits) for number, it in enumerate(providers, start=1)]
    return Workshop(route(*guards), parking)


async def outcome(shop: Workshop, name: str = "a") -> tuple[str, str, str, str | None, int]:
    async with shop.running():
        shop.put(name)
    one = shop.receipts[name]
    return one.outcome, one.reason, one.error, one.provider, one.attempts


async def test_a_message_is_sent_and_answered(autojump_clock: MockClock) -> None:
    shop = workshop(Script(a=[Accepted("id-1")]))
    assert await outcome(shop) == ("sent", "accepted", "", "p1", 1)
    assert shop.receipts["a"].provider_message_id == "id-1"


async def test_exhausted_attempts_move_on_to_the_next_provider(autojump_clock: MockClock) -> None:
    first, second = Script(a=[Unavailable("down")] * 2), Script()
    assert await outcome(workshop(first, second)) == ("sent", "accepted", "", "p2", 3)
    assert (first.ids, second.ids) == (["a", "a"], ["a"])


async def test_each_provider_grants_all_its_attempts(autojump_clock: MockClock) -> None:
    first, second = Script(a=[Unavailable("down")] * 2), Script(a=[Unavailable("off")])
    assert await outcome(workshop(first, second)) == ("sent", "accepted", "", "p2", 4)


async def test_the_last_provider_ends_it(autojump_clock: MockClock) -> None:
    first, second = Script(a=[Unavailable("down")] * 2), Script(a=[Unavailable("off")] * 2)
    assert await outcome(workshop(first, second)) == (
        "failed",
        "exhausted",
        "off (4 attempts)",
        "p2",
        4,
    )
    assert first.ids == ["a", "a"]


@pytest.mark.parametrize("end", [Refused("bad number"), Unanswered("lost"), 100.0])
async def test_a_refusal_or_a_doubt_stays_where_it_is(end: Act, autojump_clock: MockClock) -> None:
    second = Script()
    receipt = await outcome(workshop(Script(a=[end]), second))
    assert receipt[0] in {"failed", "in-doubt"}
    assert receipt[3] == "p1"
    assert second.ids == []


async def test_a_doubt_that_may_be_repeated_is_repeated_only_where_it_arose(
    autojump_clock: MockClock,
) -> None:
    limits = Limits(
        retry=Retry(3, 20, 20), on_unknown_outcome="retry", breaker=BreakerSettings(1, 5)
    )
    first, second = Script(a=[Unanswered("lost")] * 3), Script()
    receipt = await outcome(workshop(first, second, limits=limits))
    assert receipt[:2] == ("in-doubt", "unknown-outcome")
    assert (first.ids, second.ids) == (["a"] * 3, [])


async def test_a_paused_provider_is_passed_over_and_its_message_too(
    autojump_clock: MockClock,
) -> None:
    """The provider pauses, not the message: the other one may carry it."""
    first, second = Script(x=[Unavailable("429", retry_after=3, throttled=True)]), Script()
    shop = workshop(first, second)
    async with shop.running():
        shop.put("x")
        await trio.sleep(0.5)
        shop.put("a")
        await shop.answered(2)
        assert trio.current_time() == pytest.approx(0.5)
        await trio.sleep(3)
        shop.put("b")
    assert shop.providers() == {"x": "p2", "a": "p2", "b": "p1"}


async def test_a_message_stays_with_the_provider_that_has_tried_it(
    autojump_clock: MockClock,
) -> None:
    limits = Limits(retry=Retry(attempts=2, first_delay=20, max_delay=60))
    first = Script(x=[Unavailable("429", retry_after=3, throttled=True)])
    second = Script(a=[Unavailable("503")])
    shop = workshop(first, second, limits=limits)
    async with shop.running():
        shop.put("x")
        await trio.sleep(0.5)
        shop.put("a")
    assert (first.ids, second.ids) == (["x", "x"], ["a", "a"])


async def test_a_message_that_waits_lets_others_pass(autojump_clock: MockClock) -> None:
    provider = Script(a=[Unavailable("503")])
    shop = workshop(provider, limits=Limits(1, retry=Retry(2, 20, 60)))
    async with shop.running():
        shop.put("a", "b")
    assert provider.ids == ["a", "b", "a"]


async def test_without_a_place_to_wait_the_worker_waits_itself(autojump_clock: MockClock) -> None:
    provider = Script(a=[Unavailable("503")], b=[Unavailable("503")])
    shop = workshop(provider, limits=Limits(2, retry=Retry(2, 20, 60)), parking=1)
    async with shop.running():
        shop.put("a", "b", "c")
        await trio.sleep(10)
        assert shop.inbox.parked == 1
        assert shop.outcomes() == {"c": "sent"}
    assert shop.outcomes() == {"a": "sent", "b": "sent", "c": "sent"}
    assert trio.current_time() == pytest.approx(20)


async def test_a_wait_that_would_outlast_the_message_ends_it_at_once(
    autojump_clock: MockClock,
) -> None:
    provider = Script(a=[Unavailable("503")])
    shop = workshop(provider, limits=Limits(1, retry=Retry(2, 20, 60)))
    async with shop.running():
        shop.put("a", expires_at=15.0)
        await shop.answered(1)
    assert shop.reasons() == {"a": "expired"}
    assert trio.current_time() == 0


async def test_what_expires_on_its_way_to_the_connection_is_no_attempt(
    autojump_clock: MockClock,
) -> None:
    provider = Script(a=[Connects(9.0)])
    shop = workshop(provider)
    async with shop.running():
        shop.put("a", expires_at=5.0)
        await shop.answered(1)
        assert trio.current_time() == pytest.approx(5)
    one = shop.receipts["a"]
    assert (one.outcome, one.attempts, one.provider, provider.ids) == ("expired", 0, "p1", [])


async def test_calls_that_are_overdue_do_not_end_the_worker(autojump_clock: MockClock) -> None:
    provider = Script(1.0, a=[99.0], c=[Connects(99.0)])
    limits = Limits(1, timeout=5, retry=Retry(2, 2.0, 2.0))
    shop = workshop(provider, limits=limits)
    async with shop.running():
        shop.put("a", "b", "c", "d")
    assert shop.outcomes() == {"a": "in-doubt", "b": "sent", "c": "sent", "d": "sent"}
    assert provider.calls == [(0, "a"), (5, "b"), (11, "d"), (13, "c")]


async def test_each_call_has_its_own_time(autojump_clock: MockClock) -> None:
    provider = Script(4.0)
    shop = workshop(provider, limits=Limits(2, timeout=5))
    async with shop.running():
        shop.put(*(f"m{number}" for number in range(20)))
    assert set(shop.outcomes().values()) == {"sent"}
    assert trio.current_time() == pytest.approx(40)


class AnswersTooLate:
    """Is cancelled, and answers all the same: 503."""

    def __init__(self) -> None:
        self.calls = 0

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        self.calls += 1
        started()
        with suppress(trio.Cancelled), trio.CancelScope():
            await trio.sleep(0 if self.calls > 1 else 100)
        return Accepted() if self.calls > 1 else Unavailable("503")

    def serialize_by(self, delivery: Delivery) -> str | None:
        return None

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize("parking", [0, 10])
async def test_an_answer_that_comes_with_the_cancellation_counts_and_nothing_is_lost(
    parking: int, autojump_clock: MockClock
) -> None:
    provider = AnswersTooLate()
    it = guard("p", provider, Limits(1, timeout=5, retry=Retry(2, 3.0, 3.0)))
    shop = Workshop(it, parking)
    async with shop.running():
        shop.put("a", "b")
        await shop.answered(2, within=60)
    assert shop.outcomes() == {"a": "sent", "b": "sent"}


@pytest.mark.parametrize(
    "bug", [RuntimeError("bug"), trio.EndOfChannel("bug"), trio.ClosedResourceError("bug")]
)
async def test_a_bug_concerns_its_message_alone(bug: Exception, autojump_clock: MockClock) -> None:
    shop = workshop(Script(a=[bug] * 2, b=[Breaks(bug)]))
    async with shop.running():
        shop.put("a", "b", "c")
        await shop.answered(3)
    assert shop.reasons() == {"a": "crashed", "b": "unknown-outcome", "c": "accepted"}
    assert shop.bugs == [bug] * 3
    assert [choice.guard.statistics().in_flight for choice in shop.route.choices] == [0]


async def test_a_lower_concurrency_holds_from_the_next_message_on(
    autojump_clock: MockClock,
) -> None:
    provider = Script(5.0)
    it = guard("p", provider, Limits(2))
    shop = Workshop(it)
    async with shop.running():
        shop.put("a", "b", "c", "d")
        await trio.sleep(1)
        it.apply(Limits(1))
        await shop.answered(4)
    assert provider.times == [0, 0, 5, 10]


@pytest.mark.parametrize("acts", [[Unavailable("503")], [Connects(0.5)], [2.0]])
async def test_a_cancelled_task_leaves_its_messages_to_others_and_gives_permits_back(
    acts: Sequence[Act], autojump_clock: MockClock
) -> None:
    shop = workshop(Script(a=acts), limits=Limits(1, retry=Retry(2, 50, 50)), parking=0)
    shop.put("a")
    with trio.move_on_after(0.25):
        await shop.calls.run()
    [job] = shop.calls.workers.jobs.values()
    assert job.envelope.delivery.id == "a"
    [choice] = shop.route.choices
    assert choice.guard.statistics().in_flight == 0


async def leapt(clock: MockClock, leap: float) -> tuple[int, int]:
    """How many calls have ended as time leaps over their deadline, and a grace later."""
    shop = workshop(Script(a=[1e6]))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.calls.run)
        shop.put("a")
        await wait_all_tasks_blocked()
        clock.jump(30.0 + leap)
        await wait_all_tasks_blocked()
        at_once = len(shop.receipts)
        clock.jump(GRACE)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        return at_once, len(shop.receipts)
    raise AssertionError


@pytest.mark.parametrize(("leap", "ended"), [(0.0, (1, 1)), (LATE * 2, (0, 1)), (3600.0, (0, 1))])
async def test_after_a_leap_answers_that_came_meanwhile_are_read_first(
    mock_clock: MockClock, leap: float, ended: tuple[int, int]
) -> None:
    assert await leapt(mock_clock, leap) == ended


class Text(str):
    """A text of which it can be told whether anybody still has it."""

    __slots__ = ("__weakref__",)


def put_with_text(shop: Workshop) -> weakref.ref[Text]:
    """Put a message; whether its text is still there."""
    text = Text("text of a")
    [envelope] = shop.put("a")
    envelope.delivery = replace(envelope.delivery, content=TextContent(text))
    return weakref.ref(text)


@pytest.mark.parametrize("act", [Accepted(), Refused("bad number"), Unavailable("down"), 1e6])
async def test_an_idle_worker_keeps_no_message_alive(act: Act, autojump_clock: MockClock) -> None:
    """A text may have megabytes, and there are many workers."""
    shop = workshop(Script(a=[act]), limits=Limits(retry=Retry(1, 1, 1)))

    async with shop.running():
        left = put_with_text(shop)
        await shop.answered(1, within=1e9)
        await trio.sleep(1)
        assert shop.calls.workers.jobs == {}
        gc.collect()  # what was cancelled leaves a circle
        assert left() is None


async def test_a_worker_of_a_channel_that_refuses_keeps_no_message_alive(
    autojump_clock: MockClock,
) -> None:
    shop = workshop(Script())
    shop.scheduler.refuses = True

    async with shop.running():
        left = put_with_text(shop)
        await shop.answered(1)
        await trio.sleep(1)
        assert left() is None
