"""When a call to one provider may start: concurrency, rate, quota, breaker, pauses, the share.

It never waits: it says when a call may start (`opens_at`), and tells its listeners when that may
have changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from math import inf, isinf

import trio

from carillon.actors.capacity.share import Grant, Share, Usage
from carillon.actors.provider.breaker import Breaker, BreakerState
from carillon.actors.provider.call import Made, kind
from carillon.actors.provider.limits import Hold, Limits, ProviderError, Statistics
from carillon.actors.provider.rate_limit import RateLimit
from carillon.messages.events import AttemptResult, BreakerMoved, Observer
from carillon.messages.model import Cause, Refused, Unanswered, Unavailable


class RecentErrors:
    """Counts what is not accepted, since the start of the process."""

    def __init__(self) -> None:
        self._last: dict[AttemptResult, ProviderError] = {}

    def note(self, attempt: Refused | Unavailable | Unanswered) -> None:
        """This went wrong now."""
        result = kind(attempt)
        before = self._last.get(result)
        count = 1 if before is None else before.count + 1
        self._last[result] = ProviderError(result, count, attempt.error, time.time())

    def listed(self) -> Sequence[ProviderError]:
        """One entry a kind."""
        return tuple(self._last.values())


Listener = Callable[[], None]


class Gate:
    """Every limit of one provider, as they are now."""

    def __init__(
        self, name: str, limits: Limits, observe: Observer, wall: Callable[[], datetime]
    ) -> None:
        self.name = name
        self.limits = limits
        self._observe = observe
        self._listeners: list[Listener] = []
        self._rate = RateLimit(limits.rates, limits.quota, self._rate_changed, wall)
        self._rate_binds = False
        self._share: Share | None = None
        self._concurrency = limits.concurrency
        self._breaker = Breaker(limits.breaker, self._breaker_moved)
        self._on_pause: Listener = lambda: None
        self.paused_until = -inf
        """Until when its provider has asked not to be called, on trio's clock."""
        self._in_flight = 0
        self._troubles = RecentErrors()
        self._cause: Cause | None = None  # of the last failure
        self.last_call: Made | None = None
        """What came of the last call that counts; None before the first one."""
        self.failed_at = -inf
        """When a call failed last, on trio's clock."""

    def listen(self, listener: Listener) -> None:
        """Call this whenever a call may start earlier than was said."""
        self._listeners.append(listener)

    @property
    def shared(self) -> bool:
        """Whether several channels call through it."""
        return len(self._listeners) > 1

    def remember(self, calls: Sequence[tuple[float, int]]) -> None:
        """Count calls that an earlier process made: when, on trio's clock, and how many then."""
        self._rate.remember(calls)

    def apply(self, limits: Limits) -> None:
        """Put other limits in force, at once; calls that are open end by the old ones."""
        self.limits = limits
        self._breaker.settings = limits.breaker
        self._confine()
        if self._share is not None:
            self._share.news()

    def join(self, news: Listener) -> None:
        """From now on start nothing but on a share that `take_share` brought and that lasts.

        `news` is called when another one should be had soon.
        """
        self._share = Share(news)
        self._confine()

    def take_share(self, grant: Grant, until: float | None = None) -> None:
        """Use no more than this of the limits, `until` then on trio's clock or as long as before.

        Raises:
            RuntimeError: it has not joined.
        """
        if self._joined.take(grant, until):
            self._confine()

    def end_share(self) -> None:
        """Start nothing more, not even what is promised."""
        self._joined.end()
        self._confine()

    def usage(self) -> Usage:
        """What it uses of its limits, since this was asked last. Raises as `take_share` does."""
        return self._joined.usage(self.limits, self._rate, self._in_flight)

    def on_pause(self, listener: Listener) -> None:
        """Call this whenever the provider asks for a longer pause, or for one at all."""
        self._on_pause = listener

    def pause_for(self, seconds: float, *, tells: bool = False) -> bool:
        """Start nothing for so many seconds; whether that is longer than it would have been.

        It `tells` that the provider asks for it: others do not know that yet.
        """
        until = trio.current_time() + seconds
        if until <= self.paused_until:
            return False
        self.paused_until = until
        if tells:
            self._on_pause()
        return True

    def close_breaker(self) -> None:
        """Forget the failures: calls may start."""
        self._breaker.succeeded("an operator closed it")
        self._tell()

    def takes(self, now: float, *, begun: bool) -> bool:
        """Whether it is fit for a delivery now, on trio's clock: what a choice of providers asks.

        Not paused, not throttled, its breaker not open, some quota left; and not draining, unless
        the delivery has been `begun` here.
        """
        limits = self.limits
        if limits.paused or (limits.draining and not begun):
            return False
        quota = self._rate.quota
        return (
            self.paused_until <= now
            and self._breaker.opens_at() <= now
            and (quota is None or quota.left > 0)
        )

    def opens_at(self, now: float) -> float:
        """When the next call may start, on trio's clock; now or earlier means now.

        Infinity while that depends on open calls or on an operator: then listeners are told.
        """
        opens_at = self._opens_at(now)
        share = self._share
        if share is not None and opens_at > now and self._held_until() <= now:
            share.wanted(now)
        return opens_at

    def statistics(self) -> Statistics:
        """What the guard is doing now."""
        now = trio.current_time()
        quota = self._rate.quota
        opens_in = max(0.0, self._opens_at(now) - now)
        return Statistics(
            in_flight=self._in_flight,
            breaker=self._breaker.state,
            failures_in_row=self._breaker.failures,
            paused_for=max(0.0, self.paused_until - now),
            hold=self._hold(now),
            opens_in=None if isinf(opens_in) else opens_in,
            windows=self._rate.use(),
            quota_left=None if quota is None else quota.left,
            quota_ends=None if quota is None else quota.ends,
            errors=self._troubles.listed(),
        )

    def _opens_at(self, now: float) -> float:
        if self.limits.paused or self._in_flight >= self._concurrency:
            return inf
        if self._share is not None and self._share.lease.ends <= now:
            return inf
        rate = self._rate.opens_at()
        self._rate_binds = rate > now
        return max(rate, self.paused_until, self._breaker.opens_at())

    def _held_until(self) -> float:
        """When a larger share could be used."""
        paused_until = inf if self.limits.paused else self.paused_until
        return max(paused_until, self._breaker.opens_at())

    def _hold(self, now: float) -> Hold | None:
        limits, quota = self.limits, self._rate.quota
        holds: dict[Hold, bool] = {
            "paused": limits.paused,
            "draining": limits.draining,
            "throttled": self.paused_until > now,
            "breaker": self._breaker.opens_at() > now,
            "share": self._share is not None and not self._share.lease.lasts,
            "quota": quota is not None and quota.left <= 0,
            "rate": self._rate.opens_at() > now,
            "concurrency": self._in_flight >= self._concurrency,
        }
        return next((hold for hold, holds_now in holds.items() if holds_now), None)

    @property
    def _joined(self) -> Share:
        if self._share is None:
            raise RuntimeError("the guard shares its limits with nobody")
        return self._share

    def _confine(self) -> None:
        """Put the limits in force, or what the share allows of them."""
        limits, share = self.limits, self._share
        if share is None:
            self._concurrency = limits.concurrency
            self._rate.apply(limits.rates, limits.quota)
        else:
            self._concurrency = share.concurrency(limits)
            self._rate.lease = share.lease
            self._rate.apply(share.rates(limits), limits.quota)
            self._rate.allow(share.grant.quota)
        self._tell()

    def _breaker_moved(self, state: BreakerState) -> None:
        breaker = self._breaker
        cause = self._cause if state == "open" else None
        self._observe(BreakerMoved(self.name, state, breaker.why, breaker.failures, cause))
        if state != "half-open":
            self._tell()

    def _rate_changed(self) -> None:
        if self._rate_binds:
            self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
