"""Exact rate limits as the provider sees them: at most N calls arrive in any window of W seconds.

Over a network a call arrives somewhere between its start and its answer, so it counts until one
window after the *answer*, counted at most `SETTLE_MOST` (and 4 % of the window) after the start:
without that bound a slow provider would be used at a fraction of its rate.

Why that is exact. Starts and promises are counted, not paired, so calls may overtake each other on
the way to their connection. Number the starts from 0, and let e(j) be the latest moment at which
call j may arrive. A promise that finds n calls promised or started is given once the last e(j) of
*all* calls up to j = n-N is one window old. Call k starts after the promise that made them k+1, so
no call up to k-N arrives within one window before it: of N+1 calls in one window the first and the
last would be such a pair. While a limit stays as it is, each promise has to look at one more call
only, since the earlier ones were looked at before. After a change it has to look at every call that
may arrive later than the one it needs, because nobody held those to the new limit.

A process can be stopped between the stamp of a start and the write of its first byte, for as long
as it pleases others. So the clock is read once more after the write, and a stamp that has become
stale is taken anew: it is then no earlier than the byte. Nothing is awaited in between, so no
promise has looked at the stale one and no other start was stamped after it. What may be missing
is the little that counts as no delay (`STALE_SECONDS` of the wire), which a call's way to the
provider takes too: it is part of what is allowed for between start and arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from carillon.actors.provider.call_history import SETTLE_MOST, CallHistory
from carillon.actors.provider.quota import Allowance, DailyQuota, Quota, utc_now

if TYPE_CHECKING:
    from carillon.actors.provider.lease import Lease

SETTLE_SHARE: Final = 0.04  # of the window

_PROMISED: Final = -1  # in place of a call's number
_OVER: Final = -2  # as a number, older than any call that is known: its answer tells nothing


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `limit` calls in any `per` seconds; none at all where a share of it is 0."""

    limit: int
    per: float


@dataclass(frozen=True, slots=True)
class WindowUse:
    """`used` of `limit` calls count in the last `per` seconds, promised ones included.

    It may be more than `limit` for a while after the limit was lowered.
    """

    limit: int
    per: float
    used: int


class Window:
    """One rate over the calls of a provider. The `out` oldest calls are known to be outside it."""

    __slots__ = ("_doubt", "_limit", "_must_be_out", "_settle", "_starts", "out", "per")

    def __init__(self, rate: Rate, starts: CallHistory, out: int) -> None:
        self.per = rate.per
        self.out = out
        self._limit = rate.limit
        self._settle = min(rate.per * SETTLE_SHARE, SETTLE_MOST)
        self._starts = starts
        self._must_be_out = 0
        # No call before this one may arrive later than the last that the next promise looks at.
        self._doubt = max(out, starts.begin_of_doubt(starts.count - rate.limit, self._settle))

    def opens_at(self) -> float:
        """When the next call may be promised; infinity while that depends on promised ones."""
        starts = self._starts
        self._must_be_out = out = starts.count + starts.promised - self._limit + 1
        if out <= self.out:
            return -inf
        if out > starts.count:
            return inf
        return starts.latest_arrival(self._doubt, out, self._settle) + self.per

    def promise(self) -> None:
        """A call is promised, now that `opens_at` has been asked and allows it."""
        if self._must_be_out > self.out:
            self.out = self._doubt = self._must_be_out

    def use(self, now: float) -> WindowUse:
        """How full it is, as far as calls are remembered."""
        starts, settle = self._starts, self._settle
        surely = starts.until(now, self.per)
        doubtful = range(starts.until(now, self.per + settle), surely)
        late = sum(
            starts.latest_arrival(number, number + 1, settle) + self.per > now
            for number in doubtful
        )
        used = late + starts.count - surely + starts.promised
        return WindowUse(self._limit, self.per, used)

    def most_used(self, now: float) -> int:
        """How full it is at most: every call counts that may be outside but was forgotten.

        It grows by a promise only, and a promise leaves it at the limit or below: what a promise
        does not look at any more are the calls before the last `limit` ones.
        """
        starts, used = self._starts, self.use(now).used
        is_known = starts.until(now, self.per + self._settle) > starts.first
        return used if is_known else used + starts.first


class Slot:
    """One call's place in every window of a provider, until it is ended."""

    __slots__ = ("_lease", "_limit", "_number")

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._lease = limit.lease
        self._number = _PROMISED

    def start(self, now: float | None = None) -> None:
        """Stamp it: the first byte leaves now. Never waits; at most once, and before `end`.

        `now` spares a look at the clock where somebody has just looked.

        Raises:
            ShareEnded: no byte may leave.
        """
        if self._number != _PROMISED:
            raise RuntimeError("a slot starts once")
        if self._lease is not None:
            self._lease.check()
        limit = self._limit
        self._number = limit.starts.add(trio.current_time() if now is None else now)
        if limit.binds:
            limit.changed()

    def start_again(self) -> None:
        """Stamp it anew, directly after the first byte: that left later than it was to.

        Nothing may have been awaited since `start`.
        """
        if self._number >= 0:
            self._limit.starts.start_again(self._number, trio.current_time())

    def end(self, *, answered: bool = True) -> None:
        """The call is over: an answer frees its place earlier, a call that never started at once.

        Of one that was given up (not `answered`) the bytes may still be on their way. A second
        `end` does nothing.
        """
        number, limit = self._number, self._limit
        self._number = _OVER
        if number == _PROMISED:
            limit.starts.promised -= 1
        elif number == _OVER or not answered:
            return
        if limit.binds and (
            number == _PROMISED or limit.starts.answered(number, trio.current_time())
        ):
            limit.changed()


class RateLimit:
    """All windows of one provider, and its quota. Nothing waits here: waiting is the caller's.

    `changed` is called whenever somebody may be able to start earlier than `opens_at` said. `wall`
    is the clock that the quota's day is read from. What is promised while there is a `lease` starts
    only as long as that one lasts.
    """

    def __init__(
        self,
        rates: Sequence[Rate],
        quota: Quota | None = None,
        changed: Callable[[], None] = lambda: None,
        wall: Callable[[], datetime] = utc_now,
    ) -> None:
        self.starts = CallHistory()
        self.changed = changed
        self.lease: Lease | None = None
        self._wall = wall
        self._windows: list[Window] = []
        self.quota: DailyQuota | None = None
        self._set(rates, quota)

    def opens_at(self) -> float:
        """The trio time from which a call may be promised: now, if it is not in the future.

        Infinity while that depends on promised calls. A known time is an upper bound: an answer
        may free a place earlier.
        """
        opens = -inf if self.quota is None else self.quota.opens_at()
        for window in self._windows:
            at = window.opens_at()
            opens = at if at > opens else opens
        return opens

    def reserve(self, now: float | None = None) -> Slot:
        """A place in every window. The caller must `end` it, come what may.

        `now` spares a look at the clock where somebody has just looked.

        Raises:
            RuntimeError: `opens_at` is in the future.
        """
        if self.binds:
            if self.opens_at() > (trio.current_time() if now is None else now):
                raise RuntimeError("no call may be promised yet")
            for window in self._windows:
                window.promise()
        self.starts.promised += 1
        return Slot(self)

    def remember(self, calls: Sequence[tuple[float, int]]) -> None:
        """Count calls that were made before this began: so many at each time of trio's clock.

        Oldest first, and before any call is promised.
        """
        reset = -inf if self.quota is None else self.quota.last_reset()
        self.starts.remember(calls, reset)
        self._windows = [self._window(rate) for rate in self.rates]
        if self.quota is not None:
            self.quota.recount()

    def apply(self, rates: Sequence[Rate], quota: Quota | None) -> None:
        """Put other limits in force, from the next promise on.

        What is promised or in flight goes on. The new windows count the calls already made; the
        quota keeps what was used today.
        """
        self._set(rates, quota)
        self.changed()

    def allow(self, allowance: Allowance) -> None:
        """Of the quota, promise no more than a share allows."""
        if self.quota is not None:
            self.quota.allowance = allowance
            self.changed()

    def use(self) -> Sequence[WindowUse]:
        """How full each window is now, in the order of the rates."""
        now = trio.current_time()
        return [window.use(now) for window in self._windows]

    def most_used(self) -> Sequence[int]:
        """How many calls count in each window at most, in the order of the rates."""
        now = trio.current_time()
        return [window.most_used(now) for window in self._windows]

    def _set(self, rates: Sequence[Rate], quota: Quota | None) -> None:
        self.rates = tuple(rates)
        self.starts.keep(max((rate.limit for rate in rates), default=0))
        self._windows = [self._window(rate) for rate in rates]
        if quota is None:
            self.quota = None
        elif self.quota is None:
            self.quota = DailyQuota(quota, self.starts, self._wall)
        else:
            self.quota.change(quota)
        self.binds = bool(rates) or quota is not None

    def _window(self, rate: Rate) -> Window:
        # What is outside a window is outside every shorter one, remembered or not.
        longer = (window.out for window in self._windows if window.per >= rate.per)
        return Window(rate, self.starts, max(longer, default=0))
