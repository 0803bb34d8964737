"""The calls made to one provider: what every rate window and the quota count from.

Calls are numbered from 0 in the order in which they start. The last 1,000 are always kept, so that
a limit which is set later knows the recent past; more are kept once a window needs them, in arrays
that grow as calls are made: 16 bytes a call.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Final

LEAST_KEPT: Final = 1_000
SETTLE_MOST: Final = 0.05
"""Seconds after which a call counts as arrived, in windows of any length."""

MARK_EVERY: Final = 300.0  # seconds
MARKS: Final = 26 * 12  # a day, and the hours that summer time may add


class CallHistory:
    """When calls started, and when those answered soon were answered. Times are trio's, in seconds.

    `promised` calls may start at any moment; `count` have started; those before number `first`
    are forgotten.
    """

    __slots__ = (
        "_answered",
        "_marks",
        "_most",
        "_next_mark",
        "_origin",
        "_started",
        "count",
        "promised",
    )

    def __init__(self) -> None:
        self.promised = 0
        self.count = 0
        self._most = LEAST_KEPT
        self._origin = 0  # the call at place 0, and at each `_most` calls from there
        self._started = array("d")
        self._answered = array("d")
        self._marks = deque[tuple[float, int]](maxlen=MARKS)
        self._next_mark = -inf

    @property
    def first(self) -> int:
        """The number of the oldest call that is still known."""
        return self.count - len(self._started)

    def keep(self, most: int) -> None:
        """Keep that many calls from now on. It never keeps fewer: a limit may be raised again."""
        if most <= self._most:
            return
        oldest = self._place(self.first)
        if oldest:
            self._started = self._started[oldest:] + self._started[:oldest]
            self._answered = self._answered[oldest:] + self._answered[:oldest]
        self._origin = self.first
        self._most = most

    def add(self, now: float) -> int:
        """A promised call starts; gives its number."""
        number = self.count
        if len(self._started) < self._most:
            self._started.append(now)
            self._answered.append(inf)
        else:
            place = (number - self._origin) % self._most
            self._started[place] = now
            self._answered[place] = inf
        self.promised -= 1
        self.count = number + 1
        if now >= self._next_mark:
            self._marks.append((now, number))
            self._next_mark = now + MARK_EVERY
        return number

    def start_again(self, number: int, now: float) -> None:
        """The latest call to start did so only now."""
        if number == self.count - 1:
            self._started[self._place(number)] = now

    def remember(self, calls: Sequence[tuple[float, int]], exactly_from: float = -inf) -> None:
        """Count calls that were made before any other: so many at each time, oldest first.

        `since` is exact for `exactly_from`, however many there are. Raises RuntimeError later on.
        """
        if self.count:
            raise RuntimeError("calls are remembered before the first one is made")
        for at, number in calls:
            if at >= exactly_from:
                self._marks.append((exactly_from - 1.0, self.count))  # clocks are read apart
                exactly_from = inf
            elif at >= self._next_mark:
                self._marks.append((at, self.count))
                self._next_mark = at + MARK_EVERY
            self.count += number
        left, last = self._most, list[tuple[float, int]]()
        for at, number in reversed(calls):
            if left <= 0:
                break
            last.append((at, min(left, number)))
            left -= number
        for at, number in reversed(last):
            self._started.extend([at] * number)
            self._answered.extend([inf] * number)
        self._origin = self.first

    def answered(self, number: int, now: float) -> bool:
        """A call is over; tells whether that says more about its arrival than its start did."""
        if number < self.count - len(self._started):
            return False
        place = (number - self._origin) % self._most
        if now - self._started[place] >= SETTLE_MOST:
            return False
        self._answered[place] = now
        return True

    def latest_arrival(self, begin: int, end: int, settle: float) -> float:
        """The latest moment at which a call from `begin` to before `end` may have arrived.

        Forgotten ones started no later than the oldest known one, and may never have been answered.
        """
        if begin < self.count - len(self._started):
            known = self.latest_arrival(self.first, end, settle)
            return max(known, self._started[self._place(self.first)] + settle)
        latest = -inf
        for number in range(begin, end):
            place = (number - self._origin) % self._most
            # Comparisons, as min() and max() would take as long as all the rest of a promise.
            answered, settled = self._answered[place], self._started[place] + settle
            arrival = answered if answered < settled else settled
            latest = arrival if arrival > latest else latest
        return latest

    def begin_of_doubt(self, number: int, settle: float) -> int:
        """The first call that may arrive later than this one; 0 when it may be a forgotten one.

        That is the next one to start when this one has not started either.
        """
        if number >= self.count:
            return self.count
        if number < self.first:
            return 0
        begin = self.until(self._started[self._place(number)], settle)
        return begin if begin > self.first else 0

    def until(self, now: float, span: float) -> int:
        """How many calls had started at least `span` seconds before `now`."""
        known = range(self.first, self.count)
        return known.start + bisect_right(
            known, now, key=lambda number: self._started[self._place(number)] + span
        )

    def since(self, time: float) -> int:
        """How many calls started at `time` or later; up to five minutes' too many if long ago."""
        known = range(self.first, self.count)
        if known.start and self._started[self._place(known.start)] >= time:
            return self.count - max((count for at, count in self._marks if at <= time), default=0)
        return len(known) - bisect_left(
            known, time, key=lambda number: self._started[self._place(number)]
        )

    def _place(self, number: int) -> int:
        return (number - self._origin) % self._most
