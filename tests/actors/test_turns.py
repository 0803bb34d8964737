"""Turns are fair, independent of each other, and leave nothing behind."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.turns import Turns


async def test_calls_of_one_name_follow_each_other_and_others_do_not_wait(
    autojump_clock: MockClock,
) -> None:
    turns, seen = Turns(), list[tuple[float, int]]()

    async def call(number: int, name: str | None) -> None:
        await turns.take(name)
        seen.append((trio.current_time(), number))
        await trio.sleep(1)
        turns.give_back(name)

    async with trio.open_nursery() as nursery:
        for number, name in enumerate(["a", "a", "b", None, None, "a"]):
            nursery.start_soon(call, number, name)
            await wait_all_tasks_blocked()
    assert seen == [(0, 0), (0, 2), (0, 3), (0, 4), (1, 1), (2, 5)]
    assert len(turns) == 0


async def test_a_cancelled_wait_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    turns = Turns()

    async def hold() -> None:
        await turns.take("a")
        await trio.sleep(5)
        turns.give_back("a")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold)
        await wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await turns.take("a")
        assert len(turns) == 1
        await turns.take("a")
        assert trio.current_time() == 5
        turns.give_back("a")
    with trio.CancelScope() as scope:
        scope.cancel()
        await turns.take("b")
    assert len(turns) == 0
