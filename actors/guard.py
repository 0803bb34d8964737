"""What stands between the workers and one provider: concurrency, rate, breaker, timeout, retries.

One guard a provider, shared by every worker that uses it. It never waits: it says when a call may
start (`opens_at`), and tells its listeners when that may have changed. Expected failures come out
as values; whatever raises here is a bug.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf, isinf
from random import random
from typing import TYPE_CHECKING

import trio

from actors.breaker import Breaker, BreakerState
from actors.call import Call
from actors.limits import Hold, Limits, Statistics
from actors.quota import utc_now
from actors.rate import RateLimit, Slot
from actors.troubles import Troubles
from actors.turns import Turns
from messages.backoff import ceiling, jittered
from messages.envelope import EXPIRED
from messages.events import BreakerMoved, Observer
from messages.model import (
    Accepted,
    Attempt,
    Outcome,
    Reason,
    Refused,
    Unanswered,
    Unavailable,
)

if TYPE_CHECKING:
    from messages.envelope import Envelope
    from messages.model import Delivery
    from providers.ports import Provider

Listener = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """The delivery has its outcome."""

    outcome: Outcome
    reason: Reason
    error: str = ""
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """The next attempt is due in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Every attempt this provider grants failed in passing."""

    error: str


Verdict = Ended | Later | Exhausted


class Permit:
    """The right to one call: a place, a slot in every window, and the turn at what is shared."""

    __slots__ = ("answered", "guard", "slot", "turn")

    def __init__(self, guard: Guard, slot: Slot, turn: str | None) -> None:
        self.guard = guard
        self.slot = slot
        self.turn = turn
        self.answered = False


class Guard:
    """Everything between the workers and one provider."""

    def __init__(
        self,
        name: str,
        provider: Provider,
        limits: Limits,
        observe: Observer,
        draw: Callable[[], float] = random,
        wall: Callable[[], datetime] = utc_now,
    ) -> None:
        self.name = name
        self.limits = limits
        self.turns = Turns()
        self._provider = provider
        self._observe = observe
        self._draw = draw
        self._listeners: list[Listener] = []
        self._rate = RateLimit(limits.rates, limits.quota, self._rate_changed, wall)
        self._rate_binds = False
        self._breaker = Breaker(limits.breaker, self._breaker_moved)
        self._paused_until = -inf
        self._in_flight = 0
        self._troubles = Troubles()

    def listen(self, listener: Listener) -> None:
        """Call this whenever a call may start earlier than was said."""
        self._listeners.append(listener)

    @property
    def shared(self) -> bool:
        """Whether several channels call through it."""
        return len(self._listeners) > 1

    def remember(self, starts: Sequence[float]) -> None:
        """Count calls that an earlier process made, oldest first, on trio's clock."""
        self._rate.remember(starts)

    def apply(self, limits: Limits) -> None:
        """Put other limits in force, at once; calls that are open end by the old ones."""
        self.limits = limits
        self._breaker.settings = limits.breaker
        self._rate.apply(limits.rates, limits.quota)
        self._tell()

    def close_breaker(self) -> None:
        """Forget the failures: calls may start."""
        self._breaker.succeeded()
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
            self._paused_until <= now
            and self._breaker.opens_at() <= now
            and (quota is None or quota.left > 0)
        )

    def opens_at(self, now: float) -> float:
        """When the next call may start, on trio's clock; now or earlier means now.

        Infinity while that depends on open calls or on an operator: then listeners are told.
        """
        limits = self.limits
        if limits.paused or self._in_flight >= limits.concurrency:
            return inf
        rate = self._rate.opens_at()
        self._rate_binds = rate > now
        return max(rate, self._paused_until, self._breaker.opens_at())

    def permit(self, turn: str | None) -> Permit:
        """Promise a call that may start now; `turn` must have been taken. Release it, always."""
        slot = self._rate.reserve()
        self._breaker.enter()
        self._in_flight += 1
        return Permit(self, slot, turn)

    def unused(self) -> None:
        """A permitted call is not made."""
        self._breaker.abandoned()

    def turn(self, delivery: Delivery) -> str | None:
        """What this delivery shares with others that must not be under way at once."""
        return self._provider.turn(delivery)

    def release(self, permit: Permit, besides: Listener | None = None) -> None:
        """End a call's right, and tell the listeners but one that will look for itself."""
        self._in_flight -= 1
        self._rate_binds = False
        permit.slot.end(answered=permit.answered)
        self.turns.give_back(permit.turn)
        for listener in self._listeners:
            if listener != besides:
                listener()

    def call(self, envelope: Envelope, permit: Permit) -> Call:
        """The one call that a permit allows, counted as an attempt."""
        name = self.name
        limits = self.limits
        tries = envelope.tries[name] = envelope.tries.get(name, 0) + 1
        envelope.at = name
        envelope.attempts += 1
        repeatable = limits.on_unknown_outcome == "retry"
        return Call(name, envelope, permit.slot, limits.timeout, tries, repeatable=repeatable)

    async def make(self, call: Call) -> Attempt:
        """Make a call. Whoever does cancels it at its deadline; what raises is a bug."""
        try:
            return await call.run(self._provider)
        except Exception:
            self._breaker.abandoned()
            raise

    def judge(self, call: Call, attempt: Attempt | None) -> Verdict:
        """Learn from what came of a call, tell it, and say how its delivery goes on.

        `attempt` is None when the delivery expired before a byte of it left.
        """
        envelope = call.envelope
        if attempt is None:
            envelope.attempts -= 1
            self._breaker.abandoned()
            return Ended("expired", "expired", EXPIRED)
        envelope.open_attempt = None
        self._learn(attempt, call.tries)
        self._observe(call.report(attempt))
        if isinstance(attempt, Accepted):
            return Ended("sent", "accepted", message_id=attempt.message_id)
        if isinstance(attempt, Refused):
            return Ended("failed", attempt.reason, attempt.error)
        if isinstance(attempt, Unanswered):
            if not call.repeatable:
                return Ended("in-doubt", "unknown-outcome", attempt.error)
            envelope.in_doubt = True
        retry = self.limits.retry
        if call.tries >= retry.attempts:
            return Exhausted(f"{attempt.error} ({envelope.attempts} attempts)")
        return Later(jittered(call.tries, retry.first_delay, retry.max_delay, self._draw))

    def statistics(self) -> Statistics:
        """What the guard is doing now."""
        now = trio.current_time()
        quota = self._rate.quota
        opens_in = max(0.0, self.opens_at(now) - now)
        return Statistics(
            in_flight=self._in_flight,
            breaker=self._breaker.state,
            failures_in_row=self._breaker.failures,
            paused_for=max(0.0, self._paused_until - now),
            hold=self._hold(now),
            opens_in=None if isinf(opens_in) else opens_in,
            windows=self._rate.use(),
            quota_left=None if quota is None else quota.left,
            quota_ends=None if quota is None else quota.ends,
            errors=self._troubles.listed(),
        )

    def _hold(self, now: float) -> Hold | None:
        limits, quota = self.limits, self._rate.quota
        holds: dict[Hold, bool] = {
            "paused": limits.paused,
            "draining": limits.draining,
            "throttled": self._paused_until > now,
            "breaker": self._breaker.opens_at() > now,
            "quota": quota is not None and quota.left <= 0,
            "rate": self._rate.opens_at() > now,
            "concurrency": self._in_flight >= limits.concurrency,
        }
        return next((hold for hold, holds_now in holds.items() if holds_now), None)

    def _learn(self, attempt: Attempt, tries: int) -> None:
        if isinstance(attempt, Accepted):
            self._breaker.succeeded()
            return
        self._troubles.note(attempt)
        match attempt:
            case Refused():
                self._breaker.succeeded()
            case Unavailable(retry_after=retry_after, throttled=throttled):
                if throttled or retry_after is not None:
                    self._breaker.succeeded()  # it answers, and says when to come back
                    self._pause(retry_after, tries)
                else:
                    self._breaker.failed()
            case Unanswered():
                self._breaker.failed()

    def _pause(self, retry_after: float | None, tries: int) -> None:
        retry = self.limits.retry
        seconds = retry_after
        if seconds is None:
            seconds = ceiling(tries, retry.first_delay, retry.max_delay)
        self._paused_until = max(self._paused_until, trio.current_time() + seconds)

    def _breaker_moved(self, state: BreakerState) -> None:
        self._observe(BreakerMoved(self.name, state))
        if state != "half-open":
            self._tell()

    def _rate_changed(self) -> None:
        if self._rate_binds:
            self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
