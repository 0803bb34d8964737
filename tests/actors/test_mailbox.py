"""A lease outlives its worker, and gives back what must wait."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from carillon.actors.channel import WorkerStatus
from carillon.actors.mailbox import Mailbox
from carillon.actors.provider.limits import Limits
from tests.actors.fakes import Script
from tests.actors.workshop import Workshop, guard


def workshop(parking: int = 10) -> tuple[Workshop, Mailbox]:
    shop = Workshop(guard("p", Script(), Limits(2, timeout=10)), parking)
    return shop, Mailbox(shop.inbox, shop.scheduler)


async def test_a_lease_outlives_the_worker(autojump_clock: MockClock) -> None:
    shop, mailbox = workshop()
    [first, _] = shop.put("a", "b")
    job = await mailbox.take()
    assert (job.envelope, mailbox.job, mailbox.envelope) == (first, job, first)
    mailbox.acknowledge()
    with pytest.raises(LookupError):
        mailbox.envelope.expire()
    assert (await mailbox.take()).envelope.delivery.id == "b"


async def test_what_is_given_back_is_started_again_before_fresh_ones(
    autojump_clock: MockClock,
) -> None:
    shop, mailbox = workshop()
    shop.put("a", "b")
    job = await mailbox.take()
    assert job.permit is not None
    mailbox.give_permit_back(job.permit)
    mailbox.give_back()
    assert mailbox.job is None
    assert (await mailbox.take()).envelope.delivery.id == "a"


async def test_a_rest_leaves_the_worker_free(autojump_clock: MockClock) -> None:
    shop, mailbox = workshop()
    shop.put("a", "b")
    await mailbox.take()
    await mailbox.rest(20)
    assert (trio.current_time(), shop.inbox.parked, mailbox.job) == (0, 1, None)
    assert (await mailbox.take()).envelope.delivery.id == "b"


async def test_without_a_place_left_the_worker_waits_and_is_not_stuck(
    autojump_clock: MockClock,
) -> None:
    shop, mailbox = workshop(parking=0)
    shop.put("a")
    job = await mailbox.take()
    assert job.permit is not None
    mailbox.give_permit_back(job.permit)

    async def look() -> None:
        await trio.sleep(25)
        assert mailbox.job is job
        assert not mailbox.is_stuck(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        await mailbox.rest(30)
    assert trio.current_time() == pytest.approx(30)
    assert (shop.inbox.parked, shop.inbox.depth, mailbox.job) == (0, 1, None)


async def test_it_tells_what_its_worker_holds_where_and_for_how_long(
    autojump_clock: MockClock,
) -> None:
    shop, mailbox = workshop()
    assert mailbox.status(3, 5) == WorkerStatus(3, "idle")
    mailbox.restarting = True
    assert mailbox.status(3, 5) == WorkerStatus(3, "restarting")
    shop.put("a")
    await mailbox.take()
    await trio.sleep(4)
    assert mailbox.status(3, 5) == WorkerStatus(3, "working", "a", "p", 4.0)
    await trio.sleep(11)
    assert not mailbox.is_stuck(5)
    await trio.sleep(1)
    assert mailbox.status(3, 5) == WorkerStatus(3, "working", "a", "p", 16.0, stuck=True)


async def test_a_worker_that_refuses_calls_nobody(autojump_clock: MockClock) -> None:
    shop, mailbox = workshop()
    shop.put("a")
    shop.scheduler.refuses = True
    await mailbox.take()
    await trio.sleep(1000)
    assert mailbox.status(1, 5) == WorkerStatus(1, "working", "a", None, 1000.0)
