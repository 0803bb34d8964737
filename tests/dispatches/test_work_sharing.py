"""Other replicas work on a dispatch: what they take is answered here, and never sent twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from carillon.dispatches.work_sharing import FEWEST, LOW
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
        self.replicas = 3
        self.rooms: list[int] = []
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
        self.rooms.append(room)
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


class Backlog(SlowPost):
    """A channel in which deliveries of the dispatch wait for some seconds; then it is empty."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._until = trio.current_time() + seconds

    def queued(self, channel: Channel, dispatch_id: str) -> int:
        return LOW if trio.current_time() < self._until else LOW - 1

    async def wait_for_capacity(
        self, channel: Channel, dispatch_id: str, until: float, caller: str = ""
    ) -> int:
        room = await super().wait_for_capacity(channel, dispatch_id, until, caller)
        return room if trio.current_time() < self._until else 250


@pytest.mark.slow
async def test_who_has_enough_to_do_leaves_the_last_to_the_others(
    autojump_clock: MockClock,
) -> None:
    world, pool = World(many(1200), channels=["email"]), FakePool(0)
    post = Backlog(5.0)
    world.use(post=post)
    shared(world, pool)
    await world.run()
    assert len(post.envelopes) == 1200
    assert set(pool.rooms[:15]) == {0}
    assert trio.current_time() >= 5


@pytest.mark.slow
async def test_then_it_takes_its_part_at_once(autojump_clock: MockClock) -> None:
    world, pool = World(many(1200), channels=["email"]), FakePool(0)
    world.use(post=Backlog(2.0))
    shared(world, pool)
    await world.run()
    asked = [room for room in pool.rooms if room]
    assert 50 < asked[0] < 200
    assert asked == sorted(asked, reverse=True)
    assert asked[-1] == FEWEST


@pytest.mark.slow
async def test_who_is_alone_takes_back_all_that_it_has_room_for(autojump_clock: MockClock) -> None:
    world, pool = World(many(1200), channels=["email"]), FakePool(0)
    pool.replicas = 1
    world.use(post=Backlog(2.0))
    shared(world, pool)
    await world.run()
    assert max(pool.rooms) == 250
