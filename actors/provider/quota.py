"""A daily quota: at most N calls from one reset to the next, at a time of day in a time zone.

Counted with a quota in force or not, and over a restart: see `RateLimit.remember`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import inf, nextafter
from typing import Final
from zoneinfo import ZoneInfo

import trio

from carillon.actors.provider.call_history import CallHistory

_DAY: Final = timedelta(days=1)
_LEAP: Final = 60.0
"""Seconds by which a wall clock may run ahead of trio's between two looks."""


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `limit` calls a day, counted from `reset_at` in the time zone named."""

    limit: int
    reset_at: time
    zone: str


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a share allows of a quota of `total` calls, on the day that `ends` then.

    `number` calls may be promised here, those included that count already; with what nobody has
    been allowed yet it could become `most`.
    """

    ends: datetime
    number: int
    most: int
    total: int


NOTHING_ALLOWED: Final = Allowance(datetime.min.replace(tzinfo=UTC), 0, 0, 0)


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class DailyQuota:
    """A quota over the calls of a provider, counted from the last reset."""

    def __init__(self, quota: Quota, starts: CallHistory, wall: Callable[[], datetime]) -> None:
        self._quota = quota
        self._starts = starts
        self._wall = wall
        self._before = 0  # calls that started before the last reset
        self._began = self._ends = datetime.min.replace(tzinfo=UTC)
        self._looked: tuple[datetime, float] | None = None  # by the wall clock and by trio's
        self.allowance: Allowance | None = None
        """Where the quota is shared: one for another day allows nothing."""

    @property
    def limit(self) -> int:
        """How many calls may start from one reset to the next, as far as is known here."""
        allowed = self.allowance
        if allowed is None or allowed.ends != self.ends:
            return self._quota.limit
        return _cut(allowed.most, allowed.total - self._quota.limit)

    @property
    def allowed(self) -> int:
        """How many of them may be promised here for now."""
        allowed = self.allowance
        if allowed is None:
            return self._quota.limit
        return min(allowed.number, self.limit) if allowed.ends == self.ends else 0

    @property
    def used(self) -> int:
        """How many calls count since the last reset, promised ones included."""
        self._turn_over()
        return self._started + self._starts.promised

    @property
    def left(self) -> int:
        """How many more calls may be promised before the reset."""
        return max(0, self.limit - self.used)

    @property
    def began(self) -> datetime:
        """The last reset, in UTC."""
        self._turn_over()
        return self._began

    @property
    def ends(self) -> datetime:
        """The next reset, in UTC."""
        self._turn_over()
        return self._ends

    @property
    def _started(self) -> int:
        return self._starts.count - self._before

    def opens_at(self) -> float:
        """The trio time at which the next call may be promised; see `RateLimit.opens_at`."""
        if self.used < self.allowed:
            return -inf
        if self._started < self.limit:
            return inf
        return trio.current_time() + (self._ends - self._wall()).total_seconds()

    @property
    def total(self) -> int:
        """How many calls a day the quota is for, all replicas together."""
        return self._quota.limit

    def _turn_over(self) -> None:
        """Count anew if the reset has passed, or the clock was set to another day, be it earlier.

        Calls have their times from a clock that nobody sets. When the wall clock leaps ahead, the
        calls so far are those of another day: the machine may have slept. When it is set back, so
        were the calls that it dated: what was sent in a day that never came counts today.
        """
        now, at = self._wall(), trio.current_time()
        looked, self._looked = self._looked, (now, at)
        if self._began <= now < self._ends:
            return
        self._began, self._ends = self._resets(now)
        since = at - (now - self._began).total_seconds()
        if looked is not None and (now - looked[0]).total_seconds() - (at - looked[1]) > _LEAP:
            since = max(since, nextafter(looked[1], inf))
        self._before = self._starts.count - self._starts.since(since)

    def last_reset(self) -> float:
        """When the present day began, on trio's clock."""
        now = self._wall()
        return trio.current_time() - (now - self._resets(now)[0]).total_seconds()

    def recount(self) -> None:
        """Calls have become known that were made before: count those of today anew."""
        self._began = self._ends = datetime.min.replace(tzinfo=UTC)

    def change(self, quota: Quota) -> None:
        """Put another quota in force; what has been used stays used until its next reset."""
        self._turn_over()
        self._quota = quota
        self._began, self._ends = self._resets(self._wall())

    def _resets(self, now: datetime) -> tuple[datetime, datetime]:
        """The last reset and the next."""
        zone = ZoneInfo(self._quota.zone)
        day = now.astimezone(zone).date() - 2 * _DAY
        last = self._reset(day, zone)
        while (following := self._reset(day := day + _DAY, zone)) <= now:
            last = following
        return last, following

    def _reset(self, day: date, zone: ZoneInfo) -> datetime:
        return datetime.combine(day, self._quota.reset_at, zone).astimezone(UTC)


def _cut(number: int, by: int) -> int:
    return max(0, number - max(0, by))
