"""What stands between a worker and one provider: concurrency, rate, breaker, timeout, retries.

One guard a provider, shared by every worker that uses it. Expected failures come out as values;
whatever raises here is a bug. Waiting for any limit uses up no attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import random
from typing import TYPE_CHECKING, Final, Literal

import trio

from actors.breaker import Breaker, BreakerSettings, BreakerState
from actors.call import Call
from actors.quota import DailyQuota, Quota
from actors.rate import Rate, RateLimit, Slot
from actors.turns import Turns
from messages.backoff import ceiling, jittered
from messages.envelope import Envelope
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
    from collections.abc import Iterator

    from providers.ports import Provider

WAIT_IN_PLACE: Final = 5.0
"""Seconds a worker waits for one message's next attempt before it hands the message back."""


@dataclass(frozen=True, slots=True)
class Retry:
    """`attempts` counts all calls, the first included; delays are in seconds."""

    attempts: int = 5
    first_delay: float = 0.5
    max_delay: float = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider's section of the configuration allows."""

    concurrency: int = 20
    rates: tuple[Rate, ...] = ()
    quota: Quota | None = None
    timeout: float = 30.0
    retry: Retry = field(default_factory=Retry)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    on_unknown_outcome: Literal["hold", "retry"] = "hold"


@dataclass(frozen=True, slots=True)
class Ended:
    """The delivery has its outcome."""

    outcome: Outcome
    reason: Reason
    error: str = ""
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """The next attempt is due in so many seconds: too long to keep a worker waiting."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Every attempt this provider grants failed in passing."""

    error: str


Verdict = Ended | Later | Exhausted


@dataclass(frozen=True, slots=True)
class Statistics:
    """A guard at one moment. `waiting` counts deliveries that wait for a limit."""

    waiting: int
    in_flight: int
    breaker: BreakerState
    paused_for: float


class Guard:
    """Everything between the workers and one provider."""

    def __init__(
        self,
        name: str,
        provider: Provider,
        limits: Limits,
        observe: Observer,
        draw: Callable[[], float] = random,
    ) -> None:
        self.name = name
        self.limits = limits
        self._provider = provider
        self._observe = observe
        self._draw = draw
        self._places = trio.CapacityLimiter(limits.concurrency)
        self._quota = None if limits.quota is None else DailyQuota(limits.quota)
        self._rate = RateLimit(limits.rates, self._quota)
        self._breaker = Breaker(limits.breaker, lambda state: observe(BreakerMoved(name, state)))
        self._turns = Turns()
        self._paused_until = float("-inf")
        self._waiting = 0
        self._in_flight = 0

    @property
    def _repeats(self) -> bool:
        return self.limits.on_unknown_outcome == "retry"

    @property
    def ready(self) -> bool:
        """Whether a call need not wait for a pause or the breaker."""
        return self._breaker.admits and trio.current_time() >= self._paused_until

    @property
    def available(self) -> bool:
        """Whether it is ready and has some of its quota left: what a choice of providers asks."""
        return self.ready and (self._quota is None or self._quota.left > 0)

    def statistics(self) -> Statistics:
        """What the guard is doing now."""
        return Statistics(
            waiting=self._waiting,
            in_flight=self._in_flight,
            breaker=self._breaker.state,
            paused_for=max(0.0, self._paused_until - trio.current_time()),
        )

    async def deliver(self, envelope: Envelope) -> Verdict:
        """Attempt a delivery until it ended, its attempts are used up, or it must wait long."""
        while True:
            attempt = await self._attempt(envelope)
            verdict = self._judge(envelope, attempt)
            if not isinstance(verdict, Later):
                return verdict
            if verdict.seconds > WAIT_IN_PLACE:
                return verdict
            await trio.sleep(verdict.seconds)

    def _judge(self, envelope: Envelope, attempt: Attempt) -> Verdict:
        match attempt:
            case Accepted(message_id):
                return Ended("sent", "accepted", message_id=message_id)
            case Refused(error, reason):
                return Ended("failed", reason, error)
            case Unanswered(error):
                if not self._repeats:
                    return Ended("in-doubt", "unknown-outcome", error)
                envelope.in_doubt = True
        if envelope.attempts_here >= self.limits.retry.attempts:
            return Exhausted(f"{attempt.error} ({envelope.attempts} attempts)")
        retry = self.limits.retry
        return Later(
            jittered(envelope.attempts_here, retry.first_delay, retry.max_delay, self._draw)
        )

    async def _attempt(self, envelope: Envelope) -> Attempt:
        turn = self._provider.turn(envelope.delivery)
        with self._counted_as_waiting():
            await self._turns.take(turn)
        try:
            with self._counted_as_waiting():
                await self._until_open()
                await self._places.acquire()
            try:
                with self._counted_as_waiting():
                    slot = await self._admitted()
                return await self._call(envelope, slot)
            finally:
                self._places.release()
        finally:
            self._turns.give_back(turn)

    async def _admitted(self) -> Slot:
        """A place in every window, at a moment when nothing else holds the provider back."""
        while True:
            slot = await self._rate.reserve()
            if self.ready:
                self._breaker.enter()
                return slot
            # A pause or an open breaker came while this call waited for its turn.
            slot.end()
            await self._until_open()

    async def _until_open(self) -> None:
        while not self.ready:
            if trio.current_time() < self._paused_until:
                await trio.sleep_until(self._paused_until)
            else:
                await self._breaker.until_admits()

    async def _call(self, envelope: Envelope, slot: Slot) -> Attempt:
        call = Call(self.name, envelope, slot, repeatable=self._repeats)
        envelope.attempts += 1
        envelope.attempts_here += 1
        self._in_flight += 1
        try:
            attempt = await call.run(self._provider, self.limits.timeout)
        except BaseException:
            self._breaker.abandoned()
            raise
        finally:
            self._in_flight -= 1
            slot.end()
        envelope.open_attempt = None
        self._learn(attempt, envelope)
        self._observe(call.report(attempt))
        return attempt

    def _learn(self, attempt: Attempt, envelope: Envelope) -> None:
        match attempt:
            case Accepted() | Refused():
                self._breaker.succeeded()
            case Unavailable(retry_after=retry_after, throttled=throttled):
                if throttled or retry_after is not None:
                    self._breaker.succeeded()  # it answers, and says when to come back
                    self._pause(retry_after, envelope)
                else:
                    self._breaker.failed()
            case Unanswered():
                self._breaker.failed()

    def _pause(self, retry_after: float | None, envelope: Envelope) -> None:
        retry = self.limits.retry
        seconds = (
            ceiling(envelope.attempts_here, retry.first_delay, retry.max_delay)
            if retry_after is None
            else retry_after
        )
        self._paused_until = max(self._paused_until, trio.current_time() + seconds)

    @contextmanager
    def _counted_as_waiting(self) -> Iterator[None]:
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
