"""Rate windows are exact, and free again as early as is safe."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import pytest
import trio
from trio.testing import MockClock

from carillon.actors.provider.rate_limit import Rate, RateLimit, WindowUse
from tests.actors.waiting import Waiting


def most_in_a_window(times: Sequence[float], per: float) -> int:
    ordered = sorted(times)
    return max(sum(at <= other < at + per - 1e-9 for other in ordered) for at in ordered)


def call_now(limit: RateLimit, number: int = 1) -> None:
    """Calls that are answered in the moment they start."""
    for _ in range(number):
        slot = limit.reserve()
        slot.start()
        slot.end()


async def test_a_burst_is_spread_over_windows(autojump_clock: MockClock) -> None:
    it = Waiting([Rate(10, 1.0)])
    await it.calls(45, answer=0.001)
    assert most_in_a_window(it.starts, 1.0) == 10
    assert trio.current_time() == pytest.approx(4.004, abs=0.01)


async def test_a_slow_answer_frees_the_slot_after_the_settling_time(
    autojump_clock: MockClock,
) -> None:
    it = Waiting([Rate(1, 1.0)])
    await it.calls(3, answer=30.0)
    assert it.starts == pytest.approx([0.0, 1.04, 2.08])


async def test_several_windows_hold_together(autojump_clock: MockClock) -> None:
    it = Waiting([Rate(2, 1.0), Rate(3, 10.0)])
    await it.calls(7)
    assert it.starts == pytest.approx([0, 0, 1, 10, 10, 11, 20])


async def test_calls_that_wait_for_their_connection_hold_their_promise(
    autojump_clock: MockClock,
) -> None:
    it = Waiting([Rate(2, 1.0)])
    await it.calls(4, connect=5.0)
    assert it.starts == pytest.approx([5, 5, 11, 11])


async def test_no_limit_never_waits(autojump_clock: MockClock) -> None:
    limit = RateLimit([])
    assert limit.opens_at() <= trio.current_time()
    call_now(limit, 5_000)
    assert limit.opens_at() <= trio.current_time()
    assert not limit.use()


async def test_a_call_that_never_started_gives_its_place_back(autojump_clock: MockClock) -> None:
    limit = RateLimit([Rate(1, 60.0)])
    slot = limit.reserve()
    assert limit.opens_at() == inf
    slot.end()
    slot.end()
    assert limit.opens_at() <= 0
    assert limit.use() == [WindowUse(1, 60.0, 0)]


async def test_nothing_is_promised_before_the_limit_opens(autojump_clock: MockClock) -> None:
    limit = RateLimit([Rate(1, 1.0)])
    slot = limit.reserve()
    with pytest.raises(RuntimeError):
        limit.reserve()
    slot.start()
    slot.end()
    await trio.sleep(0.999)
    with pytest.raises(RuntimeError):
        limit.reserve()
    await trio.sleep(0.001)
    limit.reserve()


async def test_a_slot_starts_once_and_not_after_its_end(autojump_clock: MockClock) -> None:
    limit = RateLimit([Rate(2, 1.0)])
    slot = limit.reserve()
    slot.start()
    with pytest.raises(RuntimeError):
        slot.start()
    slot.end()
    with pytest.raises(RuntimeError):
        slot.start()
    assert limit.use() == [WindowUse(2, 1.0, 1)]


async def test_only_the_first_end_is_the_answer(autojump_clock: MockClock) -> None:
    limit = RateLimit([Rate(1, 1.0)])
    slot = limit.reserve()
    slot.start()
    slot.end()
    await trio.sleep(0.03)
    slot.end()
    assert limit.opens_at() == 1.0


async def test_whoever_waits_is_told_what_may_let_them_start(autojump_clock: MockClock) -> None:
    it = Waiting([Rate(2, 1.0)])
    slow, quick = it.limit.reserve(), it.limit.reserve()
    assert it.changes == 0
    slow.start()
    quick.start()
    assert it.changes == 2
    quick.end()
    assert it.changes == 3
    await trio.sleep(2.0)
    slow.end()  # too late to say more about its arrival than its start did
    assert it.changes == 3
    never = it.limit.reserve()
    never.end()
    assert it.changes == 4
    it.limit.apply([Rate(3, 1.0)], None)
    assert it.changes == 5


async def test_use_tells_how_full_each_window_is(autojump_clock: MockClock) -> None:
    limit = RateLimit([Rate(10, 1.0), Rate(20, 10.0)])
    call_now(limit, 3)
    late = limit.reserve()
    late.start()
    assert limit.use() == [WindowUse(10, 1.0, 4), WindowUse(20, 10.0, 4)]
    await trio.sleep(1.02)
    limit.reserve()
    assert limit.use() == [WindowUse(10, 1.0, 2), WindowUse(20, 10.0, 5)]
    await trio.sleep(0.02)
    assert limit.use() == [WindowUse(10, 1.0, 1), WindowUse(20, 10.0, 5)]


async def test_a_call_that_was_given_up_may_still_be_on_its_way(autojump_clock: MockClock) -> None:
    limit = RateLimit([Rate(1, 1.0)])
    lost = limit.reserve()
    lost.start()
    lost.end(answered=False)
    assert limit.opens_at() == pytest.approx(1.04)


async def test_a_start_whose_byte_left_later_is_stamped_anew(mock_clock: MockClock) -> None:
    """A process that is stopped between stamp and byte counts the call from when it left."""
    limit = RateLimit([Rate(2, 1.0)])
    first = limit.reserve()
    first.start()
    mock_clock.jump(10.0)
    first.start_again()
    call_now(limit)
    assert limit.opens_at() == pytest.approx(11.04)
    first.end()
    assert limit.opens_at() == pytest.approx(11.0)


async def test_only_the_latest_start_can_be_stamped_anew(mock_clock: MockClock) -> None:
    """Starts stay in their order: what has been awaited since lets others start."""
    limit = RateLimit([Rate(3, 1.0)])
    first, unused = limit.reserve(), limit.reserve()
    unused.start_again()
    first.start()
    call_now(limit)
    mock_clock.jump(0.5)
    first.start_again()
    first.end()
    first.start_again()
    assert limit.use() == [WindowUse(3, 1.0, 3)]
    mock_clock.jump(0.55)
    assert limit.use() == [WindowUse(3, 1.0, 1)]
