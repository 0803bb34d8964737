"""A daily quota: at most N calls from one reset to the next, at a time of day in a time zone.

Counted since the process started: what an earlier one used up is not known to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import trio


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `limit` calls a day, counted from `reset_at` in the time zone named."""

    limit: int
    reset_at: time
    zone: str


def _utc_now() -> datetime:
    return datetime.now(UTC)


class DailyQuota:
    """Counts starts until the next reset; takes part in a `RateLimit` as a window does."""

    def __init__(self, quota: Quota, now: Callable[[], datetime] = _utc_now) -> None:
        self.reserved = 0
        self._quota = quota
        self._zone = ZoneInfo(quota.zone)
        self._now = now
        self._used = 0
        self._ends = datetime.min.replace(tzinfo=UTC)

    @property
    def left(self) -> int:
        """How many calls may still start before the reset."""
        self._turn_over()
        return max(0, self._quota.limit - self._used - self.reserved)

    def opens_at(self) -> float | None:
        """When the next call may be promised; None while that depends on promised ones."""
        if self.left:
            return float("-inf")
        if self._used < self._quota.limit:
            return None
        return trio.current_time() + (self._ends - self._now()).total_seconds()

    def start(self, now: float) -> list[float]:
        """A promised call's first byte leaves."""
        self._turn_over()
        self.reserved -= 1
        self._used += 1
        return [now]

    def answered(self, cell: list[float], now: float) -> None:
        """An answer gives nothing back."""

    def _turn_over(self) -> None:
        now = self._now()
        if now >= self._ends:
            self._used = 0
            self._ends = self._next_reset(now)

    def _next_reset(self, now: datetime) -> datetime:
        day = now.astimezone(self._zone).date() - timedelta(days=1)
        while True:
            reset = datetime.combine(day, self._quota.reset_at, self._zone).astimezone(UTC)
            if reset > now:
                return reset
            day += timedelta(days=1)
