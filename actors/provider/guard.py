"""What stands between the workers and one provider: its gate, the timeout, retries.

One guard a provider, shared by every worker that uses it. Expected failures come out as values;
whatever raises here is a bug.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from math import inf
from random import random
from typing import TYPE_CHECKING, Final

import trio

from carillon.actors.provider.call import (
    Call,
    Decision,
    Finish,
    Made,
    NextProvider,
    Requeue,
    RetryAfter,
)
from carillon.actors.provider.gate import Gate, Listener
from carillon.actors.provider.limits import Limits
from carillon.actors.provider.quota import utc_now
from carillon.actors.provider.rate_limit import Slot
from carillon.http_client.ports import WaitsForNothing
from carillon.messages.envelope import EXPIRED
from carillon.messages.events import ConnectionsLacking, Observer, ProviderThrottled
from carillon.messages.model import (
    Accepted,
    Attempt,
    Postponed,
    Refused,
    Unanswered,
    Unavailable,
)
from carillon.messages.retry import ceiling, jittered
from carillon.providers.ports import ProposedRates, Proposing, Reachable, SingleExchange

if TYPE_CHECKING:
    from carillon.http_client.ports import OpenExchange
    from carillon.messages.envelope import Envelope
    from carillon.messages.model import Delivery
    from carillon.providers.ports import Provider, ReadReply


class KeyedLock:
    """One call at a time for each name; memory holds no more names than calls are open or wait."""

    def __init__(self) -> None:
        self._taken: dict[str, deque[Callable[[], None]]] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, name: str | None) -> bool:
        """Take the turn of a name if it is free; None always is."""
        if name is None:
            return True
        if name in self._taken:
            return False
        self._taken[name] = deque()
        return True

    def when_free(self, name: str, call: Callable[[], None]) -> None:
        """Call once when the turn of a name is given back; first come, first called."""
        self._taken[name].append(call)

    def give_back(self, name: str | None) -> None:
        """End a turn that was taken, and call who waits for it."""
        if name is None:
            return
        # All of them: whoever does not get the turn then waits for it again.
        for call in self._taken.pop(name):
            call()


LACKING_SECONDS: Final = 60.0
"""A lack that comes again sooner is the same one, and has been told."""


class Permit:
    """The right to one call: a place, a slot in every window, and the turn at what is shared."""

    __slots__ = ("answered", "guard", "slot", "turn")

    def __init__(self, guard: Guard, slot: Slot, turn: str | None) -> None:
        self.guard = guard
        self.slot = slot
        self.turn = turn
        self.answered = False


class Guard(Gate):
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
        super().__init__(name, limits, observe, wall)
        self.turns = KeyedLock()
        self._provider = provider
        single = provider if isinstance(provider, SingleExchange) else None
        wire = None if single is None else single.wire
        self._single: SingleExchange | None = single
        self._wire: WaitsForNothing | None = wire if isinstance(wire, WaitsForNothing) else None
        self._draw = draw
        self._lacking_until = -inf

    def permit(self, turn: str | None, now: float | None = None) -> Permit:
        """Promise a call that may start now; `turn` must have been taken. Release it, always."""
        slot = self._rate.reserve(now)
        self._breaker.enter()
        self._in_flight += 1
        if self._share is not None:
            self._share.most_open = max(self._share.most_open, self._in_flight)
        return Permit(self, slot, turn)

    def unused(self) -> None:
        """A permitted call is not made."""
        self._breaker.abandoned()

    def serialize_by(self, delivery: Delivery) -> str | None:
        """What this delivery shares with others that must not be under way at once."""
        return self._provider.serialize_by(delivery)

    async def reach(self) -> str | None:
        """Connect to its provider, which is asked for nothing; why that cannot be done, or None."""
        provider = self._provider
        if isinstance(provider, Reachable):
            return await provider.reach()
        await trio.lowlevel.checkpoint()
        return None

    async def proposed_rates(self) -> ProposedRates | None:
        """What its provider's account allows; None where that is not told, or not to be asked."""
        provider = self._provider
        if self.limits.rates or not isinstance(provider, Proposing):
            await trio.lowlevel.checkpoint()
            return None
        return await provider.proposed_rates()

    def release(self, permit: Permit, besides: Listener | None = None) -> None:
        """End a call's right, and tell the listeners but one that will look for itself."""
        self._in_flight -= 1
        self._rate_binds = False
        permit.slot.end(answered=permit.answered)
        self.turns.give_back(permit.turn)
        if besides is None or len(self._listeners) > 1:
            for listener in self._listeners:
                if listener != besides:
                    listener()

    def call(self, envelope: Envelope, permit: Permit) -> Call:
        """The one call that a permit allows, counted as an attempt."""
        name = self.name
        limits = self.limits
        tries = envelope.tries[name] = envelope.tries.get(name, 0) + 1
        came_from, envelope.at = envelope.at, name
        envelope.attempts += 1
        envelope.cause = None
        repeatable = limits.on_unknown_outcome == "retry"
        return Call(
            name,
            envelope,
            permit.slot,
            limits.timeout,
            tries,
            came_from=came_from,
            repeatable=repeatable,
        )

    def begin(self, call: Call) -> tuple[OpenExchange, ReadReply] | None:
        """Make a call without waiting for anything; None, with nothing done, where it has to wait.

        Gives the exchange that it is, and how its answer is read. Raises ShareEnded and Overdue
        when no byte may leave any more; what else raises is a bug.
        """
        if self._single is None or self._wire is None:
            return None
        single = self._single.exchange(call.envelope.delivery)
        if single is None:
            return None
        begun = self._wire.begin(single.request, call)
        return None if begun is None else (begun, single.read)

    async def make(self, call: Call) -> Attempt | None:
        """Make a call; None when it was prevented.

        Whoever does cancels it at its deadline; what raises is a bug.
        """
        try:
            return await call.run(self._provider)
        except Exception:
            self._breaker.abandoned()
            raise

    def judge(self, call: Call, attempt: Attempt | None) -> Decision:
        """Learn from what came of a call, tell it, and say how its delivery goes on.

        `attempt` is None when no byte has left: the delivery expired, or the call was prevented.
        One that was postponed does not count either.
        """
        envelope = call.envelope
        if isinstance(attempt, Postponed | None):
            return self._not_made(call, attempt)
        envelope.open_attempt = None
        self.last_call = attempt
        if not isinstance(attempt, Accepted):
            self.failed_at = trio.current_time()
            self._cause = envelope.cause = attempt.cause
        self._learn(attempt, call.tries)
        self._observe(call.report(attempt))
        if isinstance(attempt, Accepted):
            return Finish("sent", "accepted", message_id=attempt.message_id)
        if isinstance(attempt, Refused):
            return Finish("failed", attempt.reason, attempt.error)
        if isinstance(attempt, Unanswered):
            if not call.repeatable:
                return Finish("in-doubt", "unknown-outcome", attempt.error)
            envelope.in_doubt = True
        retry = self.limits.retry
        if call.tries >= retry.attempts:
            return NextProvider(f"{attempt.error} ({envelope.attempts} attempts)")
        return RetryAfter(jittered(call.tries, retry.first_delay, retry.max_delay, self._draw))

    def _not_made(self, call: Call, postponed: Postponed | None) -> Decision:
        envelope = call.envelope
        envelope.attempts -= 1
        self._breaker.abandoned()
        if postponed is None and not call.is_prevented:
            return Finish("expired", "expired", EXPIRED)
        envelope.open_attempt = None
        envelope.tries[self.name] -= 1
        envelope.at = call.came_from
        if postponed is None or not postponed.seconds:
            return Requeue()
        self._tell_what_is_lacking(postponed.error)
        return RetryAfter(postponed.seconds)

    def _tell_what_is_lacking(self, error: str) -> None:
        now = trio.current_time()
        if now >= self._lacking_until:
            self._observe(ConnectionsLacking(self.name, error))
        self._lacking_until = now + LACKING_SECONDS

    def _learn(self, attempt: Made, tries: int) -> None:
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
                    self._pause(retry_after, tries, attempt.error)
                else:
                    self._breaker.failed(attempt.error)
            case Unanswered():
                self._breaker.failed(attempt.error)

    def _pause(self, retry_after: float | None, tries: int, why: str) -> None:
        retry = self.limits.retry
        seconds = retry_after
        if seconds is None:
            seconds = ceiling(tries, retry.first_delay, retry.max_delay)
        if self.pause_for(seconds, tells=True):
            self._observe(ProviderThrottled(self.name, seconds, why))
