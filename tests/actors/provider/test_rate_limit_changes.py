"""Changed limits count the calls already made, and leave what is promised alone."""

from __future__ import annotations

from math import inf

import pytest
import trio
from trio.testing import MockClock

from carillon.actors.provider.rate_limit import Rate, RateLimit, WindowUse
from tests.actors.waiting import Waiting


async def test_a_lower_limit_waits_for_earlier_calls_that_may_arrive_late(
    autojump_clock: MockClock,
) -> None:
    limit = RateLimit([Rate(2, 1.0)])
    late, quick = limit.reserve(), limit.reserve()
    late.start()
    quick.start()
    quick.end()
    quick_answered = trio.current_time()
    limit.apply([Rate(1, 1.0)], None)

    def most_with(following: float) -> int:
        return sum(following - 1.0 + 1e-9 < arrival <= following for arrival in (0.04, 0.0)) + 1

    # The free time of the last start alone would let the next call go one second after it: two
    # arrive within a second, should the late one take as long as it may.
    assert most_with(quick_answered + 1.0) == 2
    assert limit.opens_at() == pytest.approx(1.04)
    assert most_with(limit.opens_at()) == 1


async def test_a_lower_limit_counts_what_was_called_before(autojump_clock: MockClock) -> None:
    it = Waiting([Rate(10, 1.0)])
    await it.calls(10)
    it.limit.apply([Rate(2, 5.0)], None)
    assert it.limit.use() == [WindowUse(2, 5.0, 10)]
    await it.calls(3)
    assert it.starts[10:] == pytest.approx([5, 5, 10])


async def test_a_lower_limit_waits_for_the_promised_calls(autojump_clock: MockClock) -> None:
    limit = RateLimit([Rate(3, 1.0)])
    slots = [limit.reserve() for _ in range(3)]
    limit.apply([Rate(2, 1.0)], None)
    for slot in slots[:2]:
        assert limit.opens_at() == inf
        slot.start()
        slot.end()
        await trio.sleep(0.01)
    assert limit.opens_at() == pytest.approx(1.01)
    slots[2].end()
    assert limit.opens_at() == pytest.approx(1.0)


async def test_a_limit_lowered_and_raised_again_is_as_it_was(autojump_clock: MockClock) -> None:
    it = Waiting([Rate(5, 1.0)])
    for _ in range(5):
        await it.call()
        await trio.sleep(0.1)
    for limit in (1, 5):
        it.limit.apply([Rate(limit, 1.0)], None)
    assert it.limit.opens_at() == 1.0


async def test_a_window_remembers_as_many_calls_as_it_allows(autojump_clock: MockClock) -> None:
    it = Waiting([Rate(1_500, 1.0)])
    for _ in range(2):
        await it.calls(750)
        await trio.sleep(0.5)
    assert it.limit.opens_at() == 1.0


async def test_a_higher_limit_holds_at_once(autojump_clock: MockClock) -> None:
    it = Waiting([Rate(2, 60.0)])
    await it.calls(2)
    it.limit.apply([Rate(5, 60.0)], None)
    await it.calls(4)
    assert it.starts == pytest.approx([0, 0, 0, 0, 0, 60])


@pytest.mark.slow
async def test_a_higher_limit_holds_at_once_beyond_what_is_remembered(
    autojump_clock: MockClock,
) -> None:
    it = Waiting([Rate(1_000, 1.0)])
    for _ in range(3):
        await it.calls(1_000)
    assert it.limit.opens_at() == trio.current_time() + 1.0
    it.limit.apply([Rate(1_500, 1.0)], None)
    await it.calls(500)
    assert it.starts[3_000:] == [2.0] * 500


async def test_somebody_who_waits_profits_from_a_change(autojump_clock: MockClock) -> None:
    it = Waiting([Rate(1, 3600.0)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.calls, 2)
        await trio.sleep(1.0)
        it.limit.apply([], None)
    assert it.starts == [0.0, 1.0]


async def test_a_call_in_flight_is_answered_under_the_new_windows(
    autojump_clock: MockClock,
) -> None:
    limit = RateLimit([Rate(5, 1.0)])
    slot = limit.reserve()
    slot.start()
    limit.apply([Rate(1, 1.0)], None)
    assert limit.opens_at() == pytest.approx(1.04)
    await trio.sleep(0.01)
    slot.end()
    assert limit.opens_at() == pytest.approx(1.01)


async def test_a_first_limit_knows_the_recent_past(autojump_clock: MockClock) -> None:
    it = Waiting([])
    await it.calls(3, answer=1.0)
    it.limit.apply([Rate(4, 60.0)], None)
    await it.calls(2)
    assert it.starts == pytest.approx([0, 0, 0, 1, 60.05])


@pytest.mark.parametrize(("pause", "opens_at"), [(10.0, 60.05), (70.0, 70.0)])
async def test_forgotten_calls_count_as_the_oldest_one_that_is_known(
    pause: float, opens_at: float, autojump_clock: MockClock
) -> None:
    it = Waiting([])
    await it.calls(1_500)
    await trio.sleep(pause)
    it.limit.apply([Rate(1_200, 60.0)], None)
    await it.call()
    assert it.starts[-1] == pytest.approx(opens_at)


async def test_where_nothing_is_forgotten_a_long_window_opens_at_once(
    autojump_clock: MockClock,
) -> None:
    it = Waiting([])
    await it.calls(1_000)
    it.limit.apply([Rate(1_001, 60.0)], None)
    await it.calls(2)
    assert it.starts[1_000:] == pytest.approx([0, 60.05])


@pytest.mark.slow
async def test_the_same_limit_again_changes_nothing(autojump_clock: MockClock) -> None:
    it, changed = Waiting([Rate(1_000, 1.0)]), Waiting([Rate(1_000, 1.0)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.calls, 3_500)
        nursery.start_soon(changed.calls, 3_500)
        for _ in range(30):
            await trio.sleep(0.1)
            changed.limit.apply([Rate(1_000, 1.0)], None)
    assert changed.starts == it.starts


async def test_up_and_down_again_follows_within_a_second(autojump_clock: MockClock) -> None:
    it = Waiting([Rate(10, 1.0)])
    with trio.move_on_after(9.0):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.calls, 2_000, 0.0, 0.002)
            await trio.sleep(3.5)
            it.limit.apply([Rate(100, 1.0)], None)
            await trio.sleep(2.0)
            it.limit.apply([Rate(10, 1.0)], None)

    def made(begin: float, end: float) -> int:
        return sum(begin <= at < end for at in it.starts)

    assert made(2.5, 3.5) == 10
    assert made(3.5, 4.5) == made(4.4, 5.4) == 100
    assert made(5.5, 6.5) <= 10
    assert made(6.6, 7.6) == 10
