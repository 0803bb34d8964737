"""What replicas do to each other's shares: those that come, leave, die, sleep, and the store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import time
from typing import Final

import pytest
import trio
from trio.testing import MockClock

from carillon.actors.capacity.ledger import ReplicaLease
from carillon.actors.capacity.liveness import DEAD
from carillon.actors.capacity.renewal import ShareRenewer
from carillon.actors.capacity.share import CONCURRENCY, pool_of
from carillon.actors.provider.limits import Limits
from carillon.actors.provider.quota import Quota
from carillon.actors.provider.rate_limit import Rate
from carillon.stores.liveness import LEASE
from tests.actors.capacity.boards import PROVIDER, Board, Faults, Meter, Replica, Traffic, wall

LIMITS: Final = Limits(concurrency=30, rates=(Rate(90, 1.0),), timeout=5.0)
IDLE: Final = Traffic(workers=1, busy=())
BUSY: Final = Traffic(workers=12)
SETTLED: Final = 3.0
"""Seconds after which everybody has what is theirs."""


class World:
    """Replicas on one board at one provider."""

    def __init__(self, nursery: trio.Nursery, limits: Limits) -> None:
        self.board, self.meter = Board(), Meter()
        self.faults = Faults()
        self._limits = limits
        self._nursery = nursery

    def start(self, name: str, traffic: Traffic = BUSY) -> Replica:
        replica = Replica(
            name, self.board, self.meter, self._nursery, self._limits, traffic, self.faults
        )
        self._nursery.start_soon(replica.run)
        return replica

    def apply(self, limits: Limits, *replicas: Replica) -> None:
        self.meter.allow(limits)
        for replica in replicas:
            replica.guard.apply(limits)

    @property
    def entries(self) -> dict[str, ReplicaLease]:
        return dict(self.board.sheet().entries)

    def held(self, pool: str) -> dict[str, int]:
        return {name: entry.held(pool) for name, entry in self.entries.items()}


@asynccontextmanager
async def world(limits: Limits = LIMITS) -> AsyncGenerator[World]:
    async with trio.open_nursery() as nursery:
        it = World(nursery, limits)
        it.meter.allow(limits)
        yield it
        nursery.cancel_scope.cancel()
    assert it.meter.wrong == []


def used(replica: Replica, since: float) -> int:
    return sum(at >= since for at in replica.starts)


async def starts_within(replica: Replica, seconds: float) -> None:
    number = len(replica.starts)
    with trio.fail_after(seconds):
        while len(replica.starts) == number:
            await trio.sleep(0.01)


async def test_a_lone_one_has_everything_at_once(autojump_clock: MockClock) -> None:
    async with world() as it:
        one = it.start("a")
        await starts_within(one, 0.1)
        assert it.held(CONCURRENCY) == {"a": 30}
        assert it.held(pool_of(1)) == {"a": 90}


@pytest.mark.slow
async def test_who_comes_has_a_share_in_two_seconds(autojump_clock: MockClock) -> None:
    async with world() as it:
        it.start("a")
        await trio.sleep(SETTLED)
        it.start("b")
        await trio.sleep(2.5)
        assert it.held(pool_of(1)) == {"a": 45, "b": 45}
        assert it.held(CONCURRENCY) == {"a": 15, "b": 15}


@pytest.mark.slow
async def test_an_idle_one_starts_at_once(autojump_clock: MockClock) -> None:
    async with world() as it:
        it.start("a")
        late = it.start("b", Traffic(workers=1, busy=((5.0, 6.0),)))
        await trio.sleep(4.9)
        assert it.held(pool_of(1)) == {"a": 89, "b": 1}
        await starts_within(late, 0.3)


@pytest.mark.slow
async def test_what_is_not_used_is_returned(autojump_clock: MockClock) -> None:
    async with world() as it:
        it.start("a")
        it.start("b", Traffic(workers=12, busy=((0.0, 5.0),)))
        await trio.sleep(4.9)
        assert it.held(pool_of(1)) == {"a": 45, "b": 45}
        await trio.sleep(3.6)
        assert it.held(pool_of(1)) == {"a": 89, "b": 1}


async def test_who_leaves_gives_back_at_once(autojump_clock: MockClock) -> None:
    async with world() as it:
        one, other = it.start("a"), it.start("b")
        await trio.sleep(SETTLED)
        await one.leave()
        left = it.entries["a"]
        assert left.left
        assert left.held(CONCURRENCY) <= 15
        await trio.sleep(2.5)
        assert it.held(pool_of(1)) == {"b": 90}
        assert used(other, trio.current_time() - 1.0) >= 80
        assert it.meter.wrong == []


async def test_an_idle_one_leaves_no_trace(autojump_clock: MockClock) -> None:
    async with world() as it:
        one = it.start("a", IDLE)
        await trio.sleep(1)
        await one.leave()
        assert it.entries == {}
        assert one.guard.opens_at(trio.current_time()) > 1e9


@pytest.mark.slow
async def test_what_a_dead_one_held_is_free_after_its_lease_and_what_still_counts(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        one = it.start("a")
        it.start("b")
        await trio.sleep(SETTLED)
        one.kill()
        await trio.sleep(LEASE)
        assert it.held(pool_of(1)) == {"a": 45, "b": 45}
        await trio.sleep(3.5)
        assert it.held(pool_of(1)) == {"a": 0, "b": 90}
        assert it.held(CONCURRENCY) == {"a": 15, "b": 15}  # a call may be open for 5 seconds
        await trio.sleep(3.5)
        assert it.held(CONCURRENCY) == {"b": 30}


@pytest.mark.slow
async def test_a_sleeper_that_wakes_starts_nothing_on_what_others_have(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        one = it.start("a", Traffic(workers=12, connect=(0.3, 0.4)))
        it.start("b")
        await trio.sleep(SETTLED)
        one.pause()
        await trio.sleep(DEAD + 12)
        begun = len(one.starts)
        assert it.held(pool_of(1)) == {"b": 90}
        one.wake()
        await trio.sleep(0.004)
        assert len(one.starts) == begun
        assert one.prevented > 0
        await starts_within(one, 3)


@pytest.mark.slow
async def test_a_short_sleep_costs_nothing(autojump_clock: MockClock) -> None:
    async with world() as it:
        one = it.start("a")
        it.start("b")
        await trio.sleep(SETTLED)
        one.pause()
        await trio.sleep(2.0)
        one.wake()
        assert one.guard.statistics().hold != "share"


@pytest.mark.slow
async def test_while_the_store_is_away_shares_last_as_long_as_their_leases(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        one, other = it.start("a"), it.start("b")
        await trio.sleep(SETTLED)
        it.board.is_away = True
        await trio.sleep(2.0)
        assert used(one, SETTLED + 1) > 20
        await trio.sleep(1.5)
        since = trio.current_time()
        await trio.sleep(6)
        assert used(one, since) + used(other, since) == 0
        assert one.guard.statistics().hold == "share"
        it.board.is_away = False
        await trio.sleep(3)
        assert it.held(pool_of(1)) == {"a": 45, "b": 45}  # neither took the other for dead


@pytest.mark.slow
async def test_a_live_change_holds_everywhere_within_a_second(autojump_clock: MockClock) -> None:
    async with world() as it:
        replicas = [it.start(name) for name in "abc"]
        await trio.sleep(SETTLED)
        it.apply(replace(LIMITS, rates=(Rate(30, 1.0),)), *replicas)
        await trio.sleep(2.5)
        assert it.held(pool_of(1)) == {"a": 10, "b": 10, "c": 10}
        it.apply(replace(LIMITS, rates=(Rate(300, 1.0),)), *replicas)
        await trio.sleep(1.0)
        assert sum(used(one, trio.current_time() - 1.0) for one in replicas) > 230


@pytest.mark.slow
async def test_the_lowest_total_that_anybody_knows_holds(autojump_clock: MockClock) -> None:
    async with world() as it:
        one, other = it.start("a"), it.start("b")
        await trio.sleep(SETTLED)
        it.apply(replace(LIMITS, concurrency=10), one)
        await trio.sleep(1.0)
        assert it.held(CONCURRENCY) == {"a": 5, "b": 5}
        it.apply(replace(LIMITS, concurrency=20), one)
        it.apply(replace(LIMITS, concurrency=20), other)
        await trio.sleep(1.0)
        assert it.held(CONCURRENCY) == {"a": 10, "b": 10}


@pytest.mark.slow
async def test_a_rate_that_is_added_is_shared(autojump_clock: MockClock) -> None:
    async with world(replace(LIMITS, rates=())) as it:
        replicas = [it.start(name) for name in "ab"]
        await trio.sleep(SETTLED)
        for one in replicas:
            one.guard.apply(LIMITS)
        await trio.sleep(3.0)
        assert it.held(pool_of(1)) == {"a": 45, "b": 45}
        since = trio.current_time()
        await trio.sleep(1.0)
        assert sum(used(one, since) for one in replicas) in range(80, 91)


@pytest.mark.slow
async def test_calls_of_a_long_window_count_after_their_caller_is_gone(
    autojump_clock: MockClock,
) -> None:
    limits = replace(LIMITS, rates=(Rate(50, 60.0),))
    async with world(limits) as it:
        one = it.start("a")
        await trio.sleep(2.0)
        assert len(one.starts) == 50
        await one.leave()
        other = it.start("b")
        await trio.sleep(55)
        assert other.starts == []
        await trio.sleep(8)
        assert len(other.starts) == 50


# A start


async def test_a_keeper_is_started_when_every_provider_has_a_share(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        it.board.is_away = True
        one = it.start("a", IDLE)
        await trio.sleep(5)
        assert it.entries == {}
        it.board.is_away = False
        await trio.sleep(4)
        assert set(it.entries) == {"a"}
        assert one.guard.statistics().hold is None


async def test_without_providers_it_starts_and_leaves(autojump_clock: MockClock) -> None:
    class Nowhere:
        async def read(self, provider: str) -> tuple[str, str]:
            raise AssertionError(provider)

        async def swap(self, provider: str, version: str, text: str) -> bool:
            raise AssertionError(provider)

    keeper = ShareRenewer(Nowhere(), lambda: "a", {})
    async with trio.open_nursery() as nursery:
        await nursery.start(keeper.run)
        await keeper.leave()


async def test_idle_ones_bother_the_store_little(autojump_clock: MockClock) -> None:
    async with world() as it:
        for name in "abc":
            it.start(name, IDLE)
        await trio.sleep(20)
        assert it.board.swaps / 20 < 3 * 2


async def test_a_board_that_is_none_of_ours_starts_nothing(autojump_clock: MockClock) -> None:
    async with world() as it:
        it.board.swap(PROVIDER, "", '{"entries": 7}')
        one = it.start("a")
        await trio.sleep(3)
        assert one.starts == []


# The quota


def daily(limit: int) -> Limits:
    return replace(LIMITS, rates=(), quota=Quota(limit, time(12, 1), "UTC"))


@pytest.mark.slow
async def test_a_quota_is_used_by_all_and_no_more_than_it(autojump_clock: MockClock) -> None:
    async with world(daily(400)) as it:
        replicas = [it.start(name, Traffic(workers=2)) for name in "abc"]
        await trio.sleep(20)
        assert sum(len(one.starts) for one in replicas) == 400
        assert all(one.guard.statistics().hold == "quota" for one in replicas)
        await trio.sleep(42)  # the reset is a minute after the start
        assert wall().minute == 1
        assert 420 < sum(len(one.starts) for one in replicas) <= 800


@pytest.mark.slow
async def test_little_of_a_quota_is_lost_with_a_dead_one(autojump_clock: MockClock) -> None:
    async with world(daily(2000)) as it:
        one, other = (it.start(name, Traffic(workers=3)) for name in "ab")
        await trio.sleep(5)
        one.kill()
        await trio.sleep(50)
        total = len(one.starts) + len(other.starts)
        assert 1850 <= total <= 2000
        assert other.guard.statistics().quota_left == 0


@pytest.mark.slow
async def test_who_leaves_gives_the_unused_quota_back(autojump_clock: MockClock) -> None:
    async with world(daily(500)) as it:
        one, other = (it.start(name, Traffic(workers=1)) for name in "ab")
        await trio.sleep(3)
        await one.leave()
        third = it.start("c", Traffic(workers=1))
        await trio.sleep(30)
        assert sum(len(each.starts) for each in (one, other, third)) == 500


@pytest.mark.slow
async def test_what_a_sleeper_had_used_of_a_quota_counts_once(autojump_clock: MockClock) -> None:
    async with world(daily(1000)) as it:
        one, other = (it.start(name, Traffic(workers=1)) for name in "ab")
        await trio.sleep(4)
        one.pause()
        await trio.sleep(12)
        assert set(it.entries) == {"b"}
        one.wake()
        await trio.sleep(35)
        assert 900 <= len(one.starts) + len(other.starts) <= 1000


@pytest.mark.slow
async def test_who_goes_on_under_another_id_takes_its_share_along(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        one = it.start("a")
        it.start("b")
        await trio.sleep(SETTLED)
        one.join_anew()
        for _ in range(10):
            await trio.sleep(0.1)
            held = it.held(pool_of(1))
            assert sum(held.values()) <= 90
            assert len(held) == 2
        assert it.held(pool_of(1)) == {"a2": 45, "b": 45}
        await trio.sleep(3)
        assert used(one, trio.current_time() - 2) >= 80


@pytest.mark.slow
async def test_so_does_one_whose_answers_were_lost_meanwhile(autojump_clock: MockClock) -> None:
    async with world() as it:
        one = it.start("a")
        it.start("b")
        await trio.sleep(SETTLED)
        it.faults.lost = 0.5
        for _ in range(4):
            one.join_anew()
            await trio.sleep(0.7)
            assert sum(held for held in it.held(pool_of(1)).values()) <= 90
        it.faults.lost = 0.0
        await trio.sleep(SETTLED)
        assert it.held(pool_of(1)) == {"a5": 45, "b": 45}


@pytest.mark.slow
async def test_one_that_was_taken_for_dead_does_not_count_its_quota_twice_under_another_id(
    autojump_clock: MockClock,
) -> None:
    quota = replace(LIMITS, rates=(Rate(20, 1.0),), quota=Quota(1_000, time(0), "UTC"))
    async with world(quota) as it:
        one = it.start("a")
        it.start("b", Traffic(workers=1, busy=((0.0, 1.0), (14.0, 15.0))))
        await trio.sleep(SETTLED)
        one.pause()
        await trio.sleep(DEAD + 5)
        one.join_anew()
        one.wake()
        await trio.sleep(SETTLED)
        sheet = it.board.sheet()
        mine = sheet.entries["a2"].quota
        assert mine is not None
        spent = sum(day.number for day in sheet.spent)
        made = len(one.starts)
        assert made <= mine.held + spent <= made + 60
