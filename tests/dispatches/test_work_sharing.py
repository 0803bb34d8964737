"""Other replicas work on a dispatch: what they take is answered here, and never sent twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from carillon.messages.model import Channel, Receipt, delivery_id
from carillon.messages.ports.journal import Enrolment, Progress
from carillon.messages.ports.records import Pending
from carillon.messages.ports.work_sharing import Settled, Taken, Weigh
from tests.dispatches.fakes import FakePost
from tests.dispatches.test_dispatch import World, many


class FakePool:
    """Another replica, which takes what is offered when it has the `appetite`, and ends it."""

    def __init__(self, appetite: int = 1000) -> None:
        self.has_company = True
        self.appetite = appetite
        self.offered: list[str] = []
        self.taken: list[str] = []

    async def offer(
        self, _dispatch_id: str, rows: Sequence[Enrolment], _progress: Progress
    ) -> Sequence[bool]:
        await trio.lowlevel.checkpoint()
        self.offered += [row.key for row in rows]
        return [True] * len(rows)

    async def elsewhere(self, _dispatch_id: str, _channel: Channel) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        return []

    async def settle(
        self, dispatch_id: str, channel: Channel, keys: Sequence[str], room: int
    ) -> Settled:
        await trio.lowlevel.checkpoint()
        ended, free = keys[: self.appetite], keys[self.appetite :]
        self.appetite -= len(ended)
        self.taken += ended
        back = free[:room]
        return Settled(
            [_sent(dispatch_id, channel, key) for key in ended],
            [Pending(key, key, ()) for key in back],
            len(free) - len(back),
        )

    async def take(self, room: Mapping[Channel, int], weigh: Weigh) -> Sequence[Taken]:
        raise NotImplementedError


class SlowPost(FakePost):
    """A channel that has little room, now and then."""

    async def wait_for_capacity(
        self, channel: Channel, dispatch_id: str, until: float, caller: str = ""
    ) -> int:
        await trio.sleep(0.1)
        return 20


def _sent(dispatch_id: str, channel: Channel, key: str) -> Receipt:
    identity = delivery_id(dispatch_id, channel, key)
    return Receipt(identity, dispatch_id, channel, key, key, "sent", "accepted")


def shared(world: World, pool: FakePool) -> None:
    world.dispatch._context = replace(world.dispatch._context, pool=pool)


@pytest.mark.slow
@pytest.mark.parametrize("appetite", [0, 300, 5000])
async def test_everybody_is_told_once_whoever_sends(
    autojump_clock: MockClock, appetite: int
) -> None:
    world, pool = World(many(1200), channels=["email"]), FakePool(appetite)
    slow = SlowPost()
    world.use(post=slow)
    shared(world, pool)
    await world.run()
    here = [one.delivery.key for one in slow.envelopes]
    assert len(here) + len(pool.taken) == 1200
    assert len({*here, *pool.taken}) == 1200
    assert world.dispatch.report().counts == {"sent": 1200}
    assert bool(pool.taken) == bool(appetite)


@pytest.mark.slow
async def test_alone_nothing_is_offered(autojump_clock: MockClock) -> None:
    world, pool = World(many(1200), channels=["email"]), FakePool()
    pool.has_company = False
    shared(world, pool)
    await world.run()
    assert pool.offered == []
    assert world.dispatch.report().counts == {"sent": 1200}


async def test_a_small_one_is_not_shared(autojump_clock: MockClock) -> None:
    world, pool = World(many(10), channels=["email"]), FakePool()
    shared(world, pool)
    await world.run()
    assert pool.offered == []
    assert trio.current_time() == pytest.approx(0, abs=0.01)
