"""A worker's message outlives its task, and is given back when it must wait."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from carillon.actors.channel import WorkerStatus
from carillon.actors.provider.limits import Limits, Retry
from carillon.actors.scheduler import Job
from carillon.messages.model import Unavailable
from tests.actors.fakes import Script
from tests.actors.workshop import Workshop, guard


def workshop(parking: int = 10, workers: int = 2) -> Workshop:
    return Workshop(guard("p", Script(), Limits(workers, timeout=10)), parking)


def occupied(shop: Workshop) -> Job:
    """The next message, held by a worker."""
    job = shop.scheduler.take(trio.current_time())
    assert job is not None
    shop.calls.workers.occupy(job)
    return job


async def test_a_message_stays_with_its_worker_until_it_is_acknowledged(
    autojump_clock: MockClock,
) -> None:
    shop = workshop()
    workers = shop.calls.workers
    [first, _] = shop.put("a", "b")
    job = occupied(shop)
    assert (job.envelope, workers.holds(job), workers.idle(0.0)) == (first, True, 1)
    workers.acknowledge(job)
    workers.acknowledge(job)  # a second time is no harm
    assert (workers.holds(job), workers.idle(0.0)) == (False, 2)
    assert occupied(shop).envelope.delivery.id == "b"


async def test_what_is_given_back_is_started_again_before_fresh_ones(
    autojump_clock: MockClock,
) -> None:
    shop = workshop()
    shop.put("a", "b")
    job = occupied(shop)
    assert job.permit is not None
    shop.scheduler.give_back(job.permit)
    shop.calls.workers.give_back(job)
    assert not shop.calls.workers.holds(job)
    assert occupied(shop).envelope.delivery.id == "a"


async def test_a_message_that_rests_leaves_its_worker_free(autojump_clock: MockClock) -> None:
    provider = Script(a=[Unavailable("503")])
    shop = Workshop(guard("p", provider, Limits(1, retry=Retry(2, 20, 20))))
    async with shop.running():
        shop.put("a")
        await trio.sleep(1)
        assert (shop.inbox.parked, shop.calls.workers.jobs) == (1, {})
        shop.inbox.empty()


async def test_without_a_place_left_the_worker_waits_and_is_not_stuck(
    autojump_clock: MockClock,
) -> None:
    provider = Script(a=[Unavailable("503")])
    limits = Limits(2, timeout=10, retry=Retry(2, 30, 30))
    shop = Workshop(guard("p", provider, limits), parking=0)
    async with shop.running():
        shop.put("a")
        await trio.sleep(25)
        [worker] = [one for one in shop.calls.workers.status(1) if one.state == "working"]
        assert (worker.delivery_id, worker.held_for, worker.stuck) == ("a", 25.0, False)
        await shop.answered(1)
    assert trio.current_time() == pytest.approx(30)
    assert (shop.inbox.parked, shop.inbox.depth, shop.calls.workers.jobs) == (0, 0, {})


async def test_they_tell_what_they_hold_where_and_for_how_long(autojump_clock: MockClock) -> None:
    shop = workshop(workers=1)
    workers = shop.calls.workers
    assert workers.status(5) == [WorkerStatus(1, "idle")]
    shop.put("a")
    job = occupied(shop)
    await trio.sleep(4)
    assert workers.status(5) == [WorkerStatus(1, "working", "a", "p", 4.0)]
    await trio.sleep(11)
    assert not workers.status(5)[0].stuck
    await trio.sleep(1)
    assert workers.status(5) == [WorkerStatus(1, "working", "a", "p", 16.0, stuck=True)]
    workers.acknowledge(job)
    workers.send_away(1, 3.0)
    assert workers.status(5) == [WorkerStatus(1, "restarting")]
    assert (workers.idle(18.9), workers.idle(19.0)) == (0, 1)
    assert workers.status(5) == [WorkerStatus(1, "idle")]


async def test_more_may_be_at_work_than_there_are_places(autojump_clock: MockClock) -> None:
    it = guard("p", Script(), Limits(2))
    shop = Workshop(it)
    shop.put("a", "b")
    occupied(shop)
    occupied(shop)
    it.apply(Limits(1))
    assert shop.calls.workers.idle(0.0) == -1
    assert [one.state for one in shop.calls.workers.status(5)] == ["working", "working"]


async def test_a_worker_that_refuses_calls_nobody(autojump_clock: MockClock) -> None:
    shop = workshop()
    shop.put("a")
    shop.scheduler.refuses = True
    job = shop.scheduler.take(0.0)
    assert job is not None
    assert (job.guard, job.permit, job.due) == (None, None, float("inf"))
