"""Room for large bodies: bounded in sum, first come first served, and never lost."""

from __future__ import annotations

import gc
import sys
import threading
import time
import weakref

import pytest
import trio

from carillon.messages.offload import QUIET, TURN, Offload, Room


async def test_whoever_comes_first_has_room_first(autojump_clock: trio.testing.MockClock) -> None:
    room, order = Room(10), list[str]()

    async def use(name: str, size: int) -> None:
        async with room.claimed(size):
            order.append(name)
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        for name, size in (("large", 8), ("larger", 9), ("small", 2)):
            nursery.start_soon(use, name, size)
            await trio.sleep(0.1)
        assert order == ["large"]  # the small one would fit, but others wait
    assert order == ["large", "larger", "small"]


async def test_what_is_larger_than_the_room_takes_all_of_it() -> None:
    room = Room(10)
    claim = await room.claim(1000)
    assert room.try_claim(1) is None
    claim.release()
    claim.release()
    assert room.try_claim(10) is not None
    assert room.try_claim(1) is None


async def test_who_waits_no_longer_is_not_in_the_way(
    autojump_clock: trio.testing.MockClock,
) -> None:
    room = Room(10)
    claim = await room.claim(6)
    with trio.move_on_after(1):
        await room.claim(8)
    assert room.try_claim(4) is not None
    claim.shrink(2)
    with trio.fail_after(1):
        (await room.claim(4)).release()


async def test_what_computes_long_is_done_in_one_thread_and_its_errors_are_raised() -> None:
    offload, names = Offload(), set[str]()

    def fail() -> None:
        names.add(threading.current_thread().name)
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await offload.run(fail)
    with pytest.raises(ValueError, match="wrong"):
        await offload.run_if(False, fail)
    assert threading.current_thread().name in names
    assert len(names) == 2


async def test_others_have_the_interpreter_soon_while_a_job_is_done() -> None:
    before = sys.getswitchinterval()
    assert await Offload().run(sys.getswitchinterval) == pytest.approx(TURN)
    assert sys.getswitchinterval() == before


class Large:
    """Something that refers to itself, so that no last reference frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.slow
async def test_what_jobs_leave_is_given_back_once_no_more_come(
    autojump_clock: trio.testing.MockClock,
) -> None:
    offload = Offload()
    gc.disable()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(offload.give_memory_back)
            for _ in range(2):
                left = await offload.run(lambda: weakref.ref(Large()))
                await trio.sleep(0.6 * QUIET)
                await offload.run(list)
                await trio.sleep(0.6 * QUIET)
                assert left() is not None  # it is busy yet
                await trio.sleep(QUIET)
                for _ in range(1000):  # the clock does not know of the thread that collects
                    if left() is not None:
                        await trio.to_thread.run_sync(time.sleep, 0.01)
                assert left() is None
            nursery.cancel_scope.cancel()
    finally:
        gc.enable()
