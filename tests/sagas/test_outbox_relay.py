"""Events are posted until they are accepted: in order, with growing rests, for a day."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from random import random

import pytest
import trio
from trio.testing import MockClock

from carillon.messages.errors import Conflict
from carillon.messages.events import Event, SagaEventTried
from carillon.messages.model import Accepted, Refused, Unavailable
from carillon.messages.ports.outbox import PostResult, SagaEvent
from carillon.sagas.outbox_relay import AT_ONCE, LONGEST_GAP, Persistence, Sender
from tests.sagas.fakes import FakeFlowManager, FakeOutbox, now

AWAY = Unavailable("The Flow Manager: connection refused")


@dataclass
class Office:
    """A sender at work, and all that it works with."""

    sender: Sender
    outbox: FakeOutbox
    flow_manager: FakeFlowManager
    seen: list[Event]


@asynccontextmanager
async def at_work(
    outbox: FakeOutbox | None = None,
    gives_up_after: float = 86_400.0,
    draw: Callable[[], float] = random,
) -> AsyncGenerator[Office]:
    persistence = Persistence(gives_up_after=gives_up_after)
    outbox, flow_manager = outbox or FakeOutbox(), FakeFlowManager()
    seen: list[Event] = []
    sender = Sender(outbox, flow_manager, seen.append, persistence, now=now, draw=draw)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.run)
        yield Office(sender, outbox, flow_manager, seen)
        nursery.cancel_scope.cancel()


def event(name: str, saga: str | None = None) -> SagaEvent:
    return SagaEvent(name, saga or f"saga-{name}", "done", {})


async def test_an_event_is_posted_at_once_and_whoever_watches_is_told(
    autojump_clock: MockClock,
) -> None:
    async with at_work() as office:
        watched = office.sender.watch("a")
        await office.sender.add(event("a"))
        with trio.fail_after(1):
            await watched.wait()
    assert office.outbox.state("a") == ("accepted", 1, None)
    assert office.seen == [SagaEventTried("a", "accepted", 1)]


async def test_events_of_one_saga_are_posted_in_order(autojump_clock: MockClock) -> None:
    async with at_work() as office:
        office.flow_manager.seconds = 1.0
        for name in "abc":
            await office.sender.add(event(name, "S-1"))
        await trio.sleep(10)
    assert office.flow_manager.ids == ["a", "b", "c"]
    assert office.flow_manager.most_open == 1


async def test_sagas_do_not_wait_for_one_another(autojump_clock: MockClock) -> None:
    async with at_work() as office:
        office.flow_manager.seconds = 1.0
        for number in range(100):
            await office.sender.add(event(str(number)))
        await trio.sleep(60)
    assert sorted(map(int, office.flow_manager.ids)) == [*range(100)]
    assert office.flow_manager.most_open == AT_ONCE


async def test_a_failing_saga_holds_up_its_own_events_only(autojump_clock: MockClock) -> None:
    async with at_work() as office:
        office.flow_manager.verdict = lambda one: AWAY if one.key == "S-1" else Accepted()
        await office.sender.add(event("a", "S-1"))
        await office.sender.add(event("b", "S-1"))
        await trio.sleep(5)
        await office.sender.add(event("c", "S-2"))
        await trio.sleep(1)
        assert office.outbox.state("c")[0] == "accepted"
        assert office.outbox.state("b") == ("pending", 0, None)
        office.flow_manager.verdict = lambda _: Accepted()
        await trio.sleep(200)
    assert office.flow_manager.ids[-2:] == ["a", "b"]


async def test_rests_grow_up_to_a_minute_and_the_event_goes_on(autojump_clock: MockClock) -> None:
    async with at_work() as office:
        office.flow_manager.verdict = lambda _: AWAY
        await office.sender.add(event("a"))
        await trio.sleep(3600)
        times = [at for _, at in office.flow_manager.posted]
        office.flow_manager.verdict = lambda _: Accepted()
        await trio.sleep(61)
    rests = [later - earlier for earlier, later in pairwise(times)]
    assert rests[0] <= 0.5 + 0.002
    assert max(rests[:4]) <= 4.0
    assert 20 < max(rests) <= 60 + 0.002
    assert office.outbox.state("a")[0] == "accepted"


@pytest.mark.slow
async def test_after_a_day_it_is_parked_with_its_reason(autojump_clock: MockClock) -> None:
    async with at_work() as office:
        office.flow_manager.verdict = lambda _: AWAY
        watched = office.sender.watch("a")
        await office.sender.add(event("a"))
        began = trio.current_time()
        await watched.wait()
        assert 86_000 < trio.current_time() - began <= 86_400
    state, _, error = office.outbox.state("a")
    assert (state, error) == ("parked", AWAY.error)


@pytest.mark.parametrize("draw", [0.001, 0.01, 0.05, 0.2, 0.999])
async def test_rests_while_the_flow_manager_is_down_count_towards_the_day(
    draw: float, autojump_clock: MockClock
) -> None:
    async with at_work(gives_up_after=600, draw=lambda: draw) as office:
        office.flow_manager.verdict = lambda _: AWAY
        watched = office.sender.watch("a")
        await office.sender.add(event("a"))
        began = trio.current_time()
        await watched.wait()
        assert trio.current_time() - began <= 600


async def test_what_is_refused_is_parked_at_once_and_the_next_event_follows(
    autojump_clock: MockClock,
) -> None:
    async with at_work() as office:
        no = Refused("The Flow Manager answered 400: unexpected event")
        office.flow_manager.verdict = lambda one: no if one.id == "a" else Accepted()
        await office.sender.add(event("a", "S-1"))
        await office.sender.add(event("b", "S-1"))
        await trio.sleep(1)
    assert office.outbox.state("a") == ("parked", 1, no.error)
    assert office.outbox.state("b") == ("accepted", 1, None)
    assert SagaEventTried("a", "parked", 1) in office.seen


async def test_a_pause_that_was_asked_for_is_kept(autojump_clock: MockClock) -> None:
    answers: list[PostResult] = [Unavailable("busy", retry_after=30.0), Accepted()]
    async with at_work() as office:
        office.flow_manager.verdict = lambda _: answers.pop(0)
        await office.sender.add(event("a"))
        await trio.sleep(60)
    (_, first), (_, second) = office.flow_manager.posted
    assert 30 <= second - first < 30.1


@pytest.mark.slow
async def test_one_at_a_time_while_the_flow_manager_is_away(autojump_clock: MockClock) -> None:
    async with at_work() as office:
        office.flow_manager.verdict = lambda _: AWAY
        for number in range(500):
            await office.sender.add(event(str(number)))
        await trio.sleep(60)
        before = len(office.flow_manager.posted)
        await trio.sleep(600)
        asked = len(office.flow_manager.posted) - before
        assert asked <= 600 / LONGEST_GAP + 2
        office.flow_manager.verdict = lambda _: Accepted()
        await trio.sleep(LONGEST_GAP + 61)
    assert {office.outbox.state(str(number))[0] for number in range(500)} == {"accepted"}


async def test_what_an_earlier_process_left_is_posted(autojump_clock: MockClock) -> None:
    outbox = FakeOutbox()
    await outbox.add(event("a"), now())
    async with at_work(outbox) as office:
        await trio.sleep(1)
    assert office.flow_manager.ids == ["a"]


async def test_while_the_outbox_is_broken_nothing_is_posted_twice(
    autojump_clock: MockClock,
) -> None:
    async with at_work() as office:
        office.flow_manager.seconds = 1.0
        await office.sender.add(event("a"))
        await trio.sleep(0.5)
        office.outbox.broken = True
        await trio.sleep(60)
        office.outbox.broken = False
        await trio.sleep(10)
    assert office.flow_manager.ids == ["a"]
    assert office.outbox.state("a") == ("accepted", 1, None)


async def test_a_parked_event_is_driven_again(autojump_clock: MockClock) -> None:
    async with at_work() as office:
        office.flow_manager.verdict = lambda _: Refused("no")
        await office.sender.add(event("a"))
        await trio.sleep(1)
        office.flow_manager.verdict = lambda _: Accepted()
        found = await office.sender.redrive("a")
        assert found is not None
        assert found.state == "pending"
        await trio.sleep(1)
        assert office.outbox.state("a")[0] == "accepted"
        with pytest.raises(Conflict):
            await office.sender.redrive("a")
        assert await office.sender.redrive("x") is None


async def test_an_event_that_was_accepted_may_be_repeated(autojump_clock: MockClock) -> None:
    async with at_work() as office:
        await office.sender.add(event("a"))
        await trio.sleep(1)
        assert await office.sender.repeat("a")
        assert not await office.sender.repeat("x")
        await trio.sleep(1)
    assert office.flow_manager.ids == ["a", "a"]


async def test_a_bug_delays_its_own_event_only(autojump_clock: MockClock) -> None:
    def verdict(one: SagaEvent) -> PostResult:
        if one.id == "a":
            raise ZeroDivisionError
        return Accepted()

    async with at_work() as office:
        office.flow_manager.verdict = verdict
        await office.sender.add(event("a"))
        await office.sender.add(event("b"))
        await trio.sleep(1)
    assert office.outbox.state("b")[0] == "accepted"
    assert office.outbox.state("a")[2] == "Internal error; the log has the details"


async def test_an_event_is_not_given_up_for_its_age_while_the_clock_is_doubted(
    autojump_clock: MockClock,
) -> None:
    outbox, flow_manager = FakeOutbox(), FakeFlowManager()
    flow_manager.verdict = lambda _: AWAY
    ahead, doubts = [0], [True]
    sender = Sender(
        outbox,
        flow_manager,
        lambda _: None,
        now=lambda: now() + ahead[0],
        doubts_clock=lambda: doubts[0],
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.run)
        await sender.add(event("a"))
        await trio.sleep(1)
        ahead[0] = 40 * 86_400_000
        await trio.sleep(600)
        assert outbox.state("a")[0] == "pending"
        doubts[0] = False
        await trio.sleep(200)
        assert outbox.state("a")[0] == "parked"
        nursery.cancel_scope.cancel()
