"""Rate windows are exact in every window, fair, and free again as early as is safe."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.rate import Rate, RateLimit


async def call(limit: RateLimit, starts: list[float], connect: float, answer: float) -> None:
    slot = await limit.reserve()
    try:
        await trio.sleep(connect)
        slot.start()
        starts.append(trio.current_time())
        await trio.sleep(answer)
    finally:
        slot.end()


def most_in_a_window(times: Sequence[float], per: float) -> int:
    ordered = sorted(times)
    return max(sum(at <= other < at + per - 1e-9 for other in ordered) for at in ordered)


async def test_a_burst_is_spread_over_windows(autojump_clock: MockClock) -> None:
    limit, starts = RateLimit([Rate(10, 1.0)]), list[float]()
    async with trio.open_nursery() as nursery:
        for _ in range(45):
            nursery.start_soon(call, limit, starts, 0.0, 0.001)
    assert most_in_a_window(starts, 1.0) == 10
    assert trio.current_time() == pytest.approx(4.004, abs=0.01)


async def test_a_slow_answer_frees_the_slot_after_the_settling_time(
    autojump_clock: MockClock,
) -> None:
    limit, starts = RateLimit([Rate(1, 1.0)]), list[float]()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(call, limit, starts, 0.0, 30.0)
    assert starts == pytest.approx([0.0, 1.04, 2.08])


async def test_several_windows_hold_together(autojump_clock: MockClock) -> None:
    limit, starts = RateLimit([Rate(2, 1.0), Rate(3, 10.0)]), list[float]()
    async with trio.open_nursery() as nursery:
        for _ in range(7):
            nursery.start_soon(call, limit, starts, 0.0, 0.0)
    assert most_in_a_window(starts, 1.0) == 2
    assert most_in_a_window(starts, 10.0) == 3


async def test_waiting_is_first_come_first_served(autojump_clock: MockClock) -> None:
    limit, order = RateLimit([Rate(1, 1.0)]), list[int]()

    async def caller(number: int) -> None:
        slot = await limit.reserve()
        order.append(number)
        slot.start()
        slot.end()

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(caller, number)
            await wait_all_tasks_blocked()
    assert order == [0, 1, 2, 3, 4]


async def test_a_call_that_never_started_gives_its_slot_back(autojump_clock: MockClock) -> None:
    limit = RateLimit([Rate(1, 60.0)])
    slot = await limit.reserve()
    slot.end()
    await limit.reserve()
    assert trio.current_time() == 0


async def test_a_cancelled_waiter_takes_no_slot(autojump_clock: MockClock) -> None:
    limit, starts = RateLimit([Rate(1, 1.0)]), list[float]()
    await call(limit, starts, 0.0, 0.0)
    with trio.move_on_after(0.5):
        await limit.reserve()
    await call(limit, starts, 0.0, 0.0)
    assert starts == pytest.approx([0.0, 1.0])


async def test_no_limit_never_waits(autojump_clock: MockClock) -> None:
    limit = RateLimit([])
    slots = [await limit.reserve() for _ in range(100)]
    for slot in slots:
        slot.start()
        slot.end()
    assert trio.current_time() == 0


calls = st.lists(
    st.tuples(st.floats(0, 3), st.floats(0, 0.3), st.floats(0, 2)), min_size=1, max_size=40
)
rates = st.lists(st.builds(Rate, st.integers(1, 5), st.floats(0.1, 3)), min_size=1, max_size=3)


@given(rates=rates, calls=calls)
@settings(max_examples=60, deadline=None)
def test_no_window_ever_holds_more_than_its_limit(
    rates: list[Rate], calls: list[tuple[float, float, float]]
) -> None:
    starts: list[float] = []

    async def main() -> None:
        limit = RateLimit(rates)

        async def arrive(at: float, connect: float, answer: float) -> None:
            await trio.sleep(at)
            await call(limit, starts, connect, answer)

        async with trio.open_nursery() as nursery:
            for one in calls:
                nursery.start_soon(arrive, *one)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert len(starts) == len(calls)
    for rate in rates:
        assert most_in_a_window(starts, rate.per) <= rate.limit
