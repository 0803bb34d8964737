"""A daily quota holds until its hour in its zone, summer time or not."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
import trio
from trio.testing import MockClock

from actors.quota import DailyQuota, Quota
from actors.rate import Rate, RateLimit


class Wall:
    """A wall clock that runs with trio's."""

    def __init__(self, start: str) -> None:
        self._start = datetime.fromisoformat(start)

    def __call__(self) -> datetime:
        return (self._start + timedelta(seconds=trio.current_time())).astimezone(UTC)


async def starts(limit: RateLimit, number: int) -> list[float]:
    times = []
    for _ in range(number):
        slot = await limit.reserve()
        slot.start()
        times.append(trio.current_time())
        slot.end()
    return times


@pytest.mark.parametrize(
    ("now", "reset", "zone", "hours"),
    [
        ("2026-01-10T22:00:00+00:00", time(0, 0), "UTC", 2),
        ("2026-01-10T22:00:00+00:00", time(0, 0), "Europe/Rome", 1),
        ("2026-07-10T21:30:00+00:00", time(0, 0), "Europe/Rome", 0.5),
        ("2026-01-10T22:00:00+00:00", time(9, 0), "UTC", 11),
        ("2026-03-28T23:00:00+00:00", time(12, 0), "Europe/Rome", 11),  # the night of 23 hours
        ("2026-01-10T00:00:00+00:00", time(0, 0), "UTC", 24),
    ],
)
async def test_what_is_used_up_comes_back_at_the_reset(
    now: str, reset: time, zone: str, hours: float, autojump_clock: MockClock
) -> None:
    limit = RateLimit([], DailyQuota(Quota(3, reset, zone), Wall(now)))
    assert await starts(limit, 4) == pytest.approx([0, 0, 0, hours * 3600])


async def test_it_holds_together_with_windows(autojump_clock: MockClock) -> None:
    quota = DailyQuota(Quota(3, time(1, 0), "UTC"), Wall("2026-01-10T00:00:00+00:00"))
    times = await starts(RateLimit([Rate(1, 10.0)], quota), 5)
    assert times == pytest.approx([0, 10, 20, 3600, 3610])


async def test_a_call_that_never_started_is_not_counted(autojump_clock: MockClock) -> None:
    quota = DailyQuota(Quota(1, time(0, 0), "UTC"), Wall("2026-01-10T12:00:00+00:00"))
    limit = RateLimit([], quota)
    slot = await limit.reserve()
    assert quota.left == 0
    slot.end()
    assert quota.left == 1
    assert await starts(limit, 1) == [0]
