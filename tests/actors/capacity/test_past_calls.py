"""Calls of before a store was shared: all replicas together start no more than is left."""

from __future__ import annotations

from datetime import time, timedelta

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from carillon.actors.capacity.ledger import LeaseLedger, Past, ledger_text
from carillon.actors.capacity.liveness import SKEW
from carillon.actors.capacity.past_calls import condensed, in_day, in_window, still_counting
from carillon.actors.capacity.share import CONCURRENCY, QuotaUse, Usage, Use
from carillon.actors.provider.limits import Limits
from carillon.actors.provider.quota import Quota
from carillon.actors.provider.rate_limit import Rate
from tests.actors.capacity.boards import NOON, PROVIDER, Board, Meter, Replica

NOW = round(NOON.timestamp() * 1000)
HOUR = 3_600_000


def board(*past: Past) -> Board:
    found = Board()
    assert found.swap(PROVIDER, "", ledger_text(LeaseLedger(past=past)))
    return found


async def started(limits: Limits, place: Board, seconds: float, names: str = "ab") -> list[float]:
    """When calls started at so many replicas that have always something to send."""
    meter = Meter()
    meter.allow(limits)
    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(Replica(name, place, meter, nursery, limits).run)
        await trio.sleep(seconds)
        nursery.cancel_scope.cancel()
    assert not meter.wrong
    return meter.starts


@pytest.mark.slow
@pytest.mark.parametrize("names", ["a", "abc"])
async def test_what_a_window_counts_is_taken_from_all_replicas_together(
    names: str, autojump_clock: MockClock
) -> None:
    limits = Limits(concurrency=20, rates=(Rate(10, 60.0),), timeout=1.0)
    place = board(Past(NOON.timestamp() - 20, 7))
    starts = await started(limits, place, 200, names)
    first = [at for at in starts if at < 40]  # until the last of those calls has left the window
    assert len(first) == 3
    assert len([at for at in starts if at > 105]) >= 10  # and later all of it is there again


@pytest.mark.slow
async def test_a_window_that_is_full_lets_nothing_start(autojump_clock: MockClock) -> None:
    limits = Limits(concurrency=20, rates=(Rate(10, 60.0),), timeout=1.0)
    starts = await started(limits, board(Past(NOON.timestamp() - 1, 15)), 130)
    assert starts
    assert min(starts) >= 59


@pytest.mark.slow
async def test_what_a_quota_counts_is_gone_until_its_day_ends(autojump_clock: MockClock) -> None:
    quota = Quota(20, time(12, 10), "UTC")
    limits = Limits(concurrency=20, quota=quota, timeout=1.0)
    begins = NOON - timedelta(hours=23, minutes=50)
    yesterday = Past((begins - timedelta(hours=1)).timestamp(), 9)
    today = Past((begins + timedelta(minutes=5)).timestamp(), 14)
    starts = await started(limits, board(yesterday, today), 700)
    reset = 600
    assert len([at for at in starts if at < reset]) == 6
    assert len([at for at in starts if at >= reset]) == 20


async def test_without_any_the_board_is_as_it_was(autojump_clock: MockClock) -> None:
    limits = Limits(concurrency=20, rates=(Rate(10, 60.0),), timeout=1.0)
    place = Board()
    assert len(await started(limits, place, 30)) == 10
    assert place.sheet().past == ()


async def test_they_are_forgotten_once_nothing_counts_them(autojump_clock: MockClock) -> None:
    limits = Limits(concurrency=1, rates=(Rate(10, 60.0),), timeout=1.0)
    old, late = Past(NOON.timestamp() - 27 * 3600, 5), Past(NOON.timestamp() - 3600, 5)
    place = board(old, late)
    await started(limits, place, 5)
    assert place.sheet().past == (late,)


def usage(rest: float) -> Usage:
    return Usage({CONCURRENCY: Use(1, 1, 0, 0, rest)}, None, hungry=False, begun=0)


def test_what_is_dated_in_the_future_counts_from_now_on() -> None:
    wrong = Past(NOON.timestamp() + 86_400, 3)
    assert still_counting([wrong], usage(1.0), NOON) == (Past(NOON.timestamp(), 3),)
    near = Past(NOON.timestamp() + SKEW / 2, 3)
    assert still_counting([near], usage(1.0), NOON) == (near,)


def test_calls_count_as_long_as_the_longest_window_lasts() -> None:
    week = Past(NOON.timestamp() - 6 * 86_400, 1)
    assert still_counting([week], usage(7 * 86_400.0), NOON) == (week,)
    assert still_counting([week], usage(60.0), NOON) == ()


calls = st.lists(
    st.tuples(st.integers(NOW - 26 * HOUR, NOW + HOUR), st.integers(1, 1000)), max_size=200
)


@pytest.mark.slow
@given(calls)
def test_no_limit_counts_less_of_what_was_condensed(found: list[tuple[int, int]]) -> None:
    past = condensed(found, NOW)
    assert sum(one.number for one in past) == sum(number for _, number in found)
    for ago in (1, 10, 60, 600, 3600, 86_400):
        inside = sum(number for at, number in found if at >= NOW - ago * 1000)
        assert in_window(past, ago, NOON) >= inside
        began = NOON - timedelta(seconds=ago)
        use = QuotaUse(began, began + timedelta(days=1), 1, 1, 0)
        assert in_day(past, use) >= inside


def test_a_day_of_calls_is_some_hundred_rows_and_none_changes_its_quarter() -> None:
    found = [(NOW - ago * 10_000, 1) for ago in range(8_640)]
    past = condensed(found, NOW)
    assert len(past) < 400
    quarter = 900
    for boundary in range(1, 90):
        since = NOW // 1000 - boundary * quarter
        before = sum(at >= since * 1000 for at, _ in found)
        assert sum(one.number for one in past if one.at >= since) == before
