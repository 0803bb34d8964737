"""A daily quota holds until its hour in its zone, summer time and live changes or not."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from math import inf

import pytest
import trio
from trio.testing import MockClock

from carillon.actors.provider.quota import DailyQuota, Quota
from carillon.actors.provider.rate_limit import Rate, RateLimit
from tests.actors.waiting import Waiting

MIDNIGHT = time(0, 0)


class Wall:
    """A wall clock that runs with trio's."""

    def __init__(self, start: str) -> None:
        self._start = datetime.fromisoformat(start)

    def __call__(self) -> datetime:
        return (self._start + timedelta(seconds=trio.current_time())).astimezone(UTC)


NOON = Wall("2026-01-10T12:00:00+00:00")


async def starts(it: Waiting, number: int) -> list[float]:
    before = len(it.starts)
    for _ in range(number):
        await it.call()
    return it.starts[before:]


def of(limit: RateLimit) -> DailyQuota:
    assert limit.quota is not None
    return limit.quota


@pytest.mark.parametrize(
    ("now", "reset", "zone", "hours"),
    [
        ("2026-01-10T22:00:00+00:00", time(0, 0), "UTC", 2),
        ("2026-01-10T22:00:00+00:00", time(0, 0), "Europe/Rome", 1),
        ("2026-07-10T21:30:00+00:00", time(0, 0), "Europe/Rome", 0.5),
        ("2026-01-10T22:00:00+00:00", time(9, 0), "UTC", 11),
        ("2026-03-28T23:00:00+00:00", time(12, 0), "Europe/Rome", 11),  # the night of 23 hours
        ("2026-01-10T00:00:00+00:00", time(0, 0), "UTC", 24),
        ("2026-01-10T22:00:00+00:00", time(0, 0), "Pacific/Auckland", 13),
    ],
)
async def test_what_is_used_up_comes_back_at_the_reset(
    now: str, reset: time, zone: str, hours: float, autojump_clock: MockClock
) -> None:
    it = Waiting([], Quota(3, reset, zone), Wall(now))
    assert await starts(it, 4) == pytest.approx([0, 0, 0, hours * 3600])


async def test_it_holds_together_with_windows(autojump_clock: MockClock) -> None:
    quota = Quota(3, time(1, 0), "UTC")
    it = Waiting([Rate(1, 10.0)], quota, Wall("2026-01-10T00:00:00+00:00"))
    assert await starts(it, 5) == pytest.approx([0, 10, 20, 3600, 3610])


async def test_a_call_that_never_started_is_not_counted(autojump_clock: MockClock) -> None:
    it = Waiting([], Quota(1, MIDNIGHT, "UTC"), NOON)
    slot = it.limit.reserve()
    assert of(it.limit).left == 0
    assert it.limit.opens_at() == inf
    slot.end()
    assert of(it.limit).left == 1
    assert await starts(it, 1) == [0]


async def test_it_tells_what_is_used_and_when_it_ends(autojump_clock: MockClock) -> None:
    limit = RateLimit([], Quota(5, time(6, 30), "Europe/Rome"), wall=NOON)
    quota = of(limit)
    assert quota.ends == datetime(2026, 1, 11, 5, 30, tzinfo=UTC)
    limit.reserve().start()
    limit.reserve()
    assert (quota.limit, quota.used, quota.left) == (5, 2, 3)
    await trio.sleep(18 * 3600)
    assert quota.ends == datetime(2026, 1, 12, 5, 30, tzinfo=UTC)
    assert (quota.used, quota.left) == (1, 4)  # the promise still holds


async def test_a_promise_kept_after_the_reset_counts_for_the_new_day(
    autojump_clock: MockClock,
) -> None:
    limit = RateLimit([], Quota(2, MIDNIGHT, "UTC"), wall=NOON)
    limit.reserve().start()
    slot = limit.reserve()
    await trio.sleep(12 * 3600)
    slot.start()
    assert of(limit).used == 1


async def test_another_limit_keeps_what_was_used(autojump_clock: MockClock) -> None:
    it = Waiting([], Quota(3, MIDNIGHT, "UTC"), NOON)
    await starts(it, 3)
    it.limit.apply([], Quota(5, MIDNIGHT, "UTC"))
    assert of(it.limit).left == 2
    it.limit.apply([], Quota(2, MIDNIGHT, "UTC"))
    assert (of(it.limit).used, of(it.limit).left) == (3, 0)
    assert await starts(it, 1) == [12 * 3600]


async def test_another_limit_does_not_bring_back_what_was_used_before_the_reset(
    autojump_clock: MockClock,
) -> None:
    it = Waiting([], Quota(3, MIDNIGHT, "UTC"), NOON)
    await starts(it, 3)
    await trio.sleep(13 * 3600)
    it.limit.apply([], Quota(2, MIDNIGHT, "UTC"))
    assert of(it.limit).used == 0


async def test_another_hour_keeps_what_was_used_until_it_comes(autojump_clock: MockClock) -> None:
    it = Waiting([], Quota(3, MIDNIGHT, "UTC"), NOON)
    await starts(it, 3)
    it.limit.apply([], Quota(3, time(15, 0), "Europe/Rome"))
    assert of(it.limit).left == 0
    assert await starts(it, 1) == [2 * 3600]


async def test_a_quota_taken_away_and_given_back_keeps_what_was_used(
    autojump_clock: MockClock,
) -> None:
    quota = Quota(3, MIDNIGHT, "UTC")
    it = Waiting([], quota, NOON)
    await starts(it, 2)
    it.limit.apply([], None)
    assert it.limit.quota is None
    await trio.sleep(3600)
    await starts(it, 2)
    it.limit.apply([], quota)
    assert of(it.limit).used == 4
    assert await starts(it, 1) == [12 * 3600]


async def test_a_first_quota_counts_the_calls_since_the_last_reset(
    autojump_clock: MockClock,
) -> None:
    it = Waiting([], None, NOON)
    await starts(it, 5)
    await trio.sleep(13 * 3600)
    await starts(it, 2)
    it.limit.apply([], Quota(10, MIDNIGHT, "UTC"))
    assert of(it.limit).used == 2


def test_nothing_reads_a_clock_before_it_is_asked() -> None:
    def broken() -> datetime:
        raise AssertionError

    assert RateLimit([Rate(1, 1.0)], Quota(1, MIDNIGHT, "UTC"), wall=broken).quota is not None


class SetWall(Wall):
    """One that a test sets."""

    def set(self, **by: float) -> None:
        self._start += timedelta(**by)


async def test_a_day_that_never_came_takes_nothing_away_and_gives_nothing_back(
    autojump_clock: MockClock,
) -> None:
    wall = SetWall("2026-01-10T12:00:00+00:00")
    it = Waiting([], Quota(3, MIDNIGHT, "UTC"), wall)
    await starts(it, 1)
    wall.set(days=400)
    assert of(it.limit).left == 3
    await starts(it, 1)
    wall.set(days=-400)
    assert of(it.limit).ends == datetime(2026, 1, 11, tzinfo=UTC)
    assert of(it.limit).left == 1  # both were sent today
    assert await starts(it, 2) == pytest.approx([0, 12 * 3600])


async def test_a_clock_that_is_set_to_tomorrow_brings_tomorrows_quota(
    autojump_clock: MockClock,
) -> None:
    wall = SetWall("2026-01-10T01:00:00+00:00")  # the calls were made in the last hour
    it = Waiting([], Quota(3, MIDNIGHT, "UTC"), wall)
    await starts(it, 3)
    wall.set(days=1)
    assert of(it.limit).left == 3


async def test_a_quota_that_was_used_up_ahead_of_time_turns_on_the_right_day(
    autojump_clock: MockClock,
) -> None:
    wall = SetWall("2027-06-10T12:00:00+00:00")
    it = Waiting([], Quota(1, MIDNIGHT, "UTC"), wall)
    await starts(it, 1)
    wall.set(days=-300)
    assert of(it.limit).left == 0
    assert await starts(it, 1) == [pytest.approx(12 * 3600)]


async def test_so_many_calls_of_before_are_counted_exactly_from_the_reset(
    autojump_clock: MockClock,
) -> None:
    limit = RateLimit([Rate(5, 1.0)], Quota(2_000_000, time(11, 58), "UTC"), wall=NOON)
    past = [(-3600.0 + second, 300) for second in range(3600)]
    limit.remember(past)
    assert of(limit).used == 120 * 300
    assert limit.starts.count == 3600 * 300
