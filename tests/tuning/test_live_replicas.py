"""What is set through one replica is in force on the others, and undoes nothing."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from carillon.tuning.live import LOOK, follow_store
from tests.tuning.tuning_office import Memory, Office, configured


def offices() -> tuple[Office, Office]:
    """Two replicas with one store of live settings."""
    store = Memory()
    return Office(configured(concurrency=20), store), Office(configured(concurrency=20), store)


async def test_a_change_of_another_replica_is_in_force_after_a_moment(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    here, there = offices()
    nursery.start_soon(follow_store, here.tuning)
    await there.tuning.change("first", {"concurrency": 5}, "key-1")
    await trio.sleep(LOOK + 0.1)
    assert here.limits().concurrency == 5
    assert len(here.store.entries) == 1
    await there.tuning.reset("first", "key-1")
    await trio.sleep(LOOK + 0.1)
    assert here.limits().concurrency == 20


async def test_what_is_set_here_meanwhile_is_not_undone() -> None:
    here, there = offices()
    await there.tuning.change("second", {"concurrency": 7}, "key-1")
    here.store.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(here.tuning.refresh)
        await wait_all_tasks_blocked()
        nursery.start_soon(here.tuning.change, "first", {"concurrency": 5}, "key-2")
        await wait_all_tasks_blocked()
        here.store.gate.set()
    assert (here.limits().concurrency, here.limits("second").concurrency) == (5, 7)
    await here.tuning.refresh()
    assert (here.limits().concurrency, here.limits("second").concurrency) == (5, 7)


async def test_a_store_that_is_away_changes_nothing(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    here, there = offices()
    nursery.start_soon(follow_store, here.tuning)
    await there.tuning.change("first", {"concurrency": 5}, "key-1")
    here.store.fails = True
    await trio.sleep(3 * LOOK)
    assert here.limits().concurrency == 20
    here.store.fails = False
    await trio.sleep(2 * LOOK)
    assert here.limits().concurrency == 5


async def test_what_another_replica_set_a_moment_ago_stays() -> None:
    here, there = offices()
    await here.tuning.refresh()
    await there.tuning.refresh()
    await there.tuning.change("first", {"concurrency": 5}, "key-1")
    await here.tuning.change("first", {"timeout": "7s"}, "key-2")
    assert here.store.kept == {"first": {"concurrency": 5, "timeout": "7s"}}
    await here.tuning.reset("first", "key-2")
    assert here.store.kept == {"first": {}}
    await there.tuning.refresh()
    assert there.limits().concurrency == 20
    await there.tuning.change("first", {"concurrency": 5}, "key-1")
    await here.tuning.reset("first", "key-2")
    await there.tuning.refresh()
    assert (there.limits().concurrency, here.limits().concurrency) == (20, 20)
