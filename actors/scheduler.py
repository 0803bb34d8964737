"""Which message of a channel starts next, and at which provider.

A message is taken out only together with the permit for its call. So nothing waits inside a
provider's line: whatever can start is chosen by priority and fairness at the moment when it can,
and a provider that stalls, pauses or dies holds no message that another one could carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import trio

from carillon.actors.lane import Lane, Signature

if TYPE_CHECKING:
    from carillon.actors.inbox import Inbox
    from carillon.actors.provider.guard import Guard, Permit
    from carillon.actors.router import Route
    from carillon.messages.envelope import Envelope


_Asked = dict[Signature, "Guard | None"]


@dataclass(slots=True)
class Job:
    """A message and the permit for its next call; None when the channel refuses all.

    It was handed out at `since` and must be over by `due`, on trio's clock.
    """

    envelope: Envelope
    permit: Permit | None
    since: float
    due: float = inf


class Scheduler:
    """Matches one channel's messages with its providers."""

    def __init__(self, inbox: Inbox, route: Route) -> None:
        self.refuses = False
        self._inbox = inbox
        self._route = route
        self._turnstile = trio.Lock()
        self._news: trio.Event | None = None
        self._wake_at = inf
        self._waiting = trio.CancelScope()
        self._blocked = False
        route.listen(self.tell_of_provider)

    async def next(self, freed: Guard | None = None) -> Job:
        """The next message that can start; `freed` is where the caller's last call has ended.

        Raises trio.EndOfChannel when the inbox is closed and nothing is left in it.
        """
        job = self._match()
        closed = self._inbox.closed
        if job is not None:
            if closed or (self._blocked and self._is_more_to_be_had(job, freed)):
                self.notify()
            return job
        if closed:
            self.notify()  # nothing may be left
        self._waiting.deadline = min(self._waiting.deadline, self._wake_at)
        # One waits for all: the others wait behind it, and go on when it has found something.
        async with self._turnstile:
            while True:
                job = self._match()
                if job is not None:
                    return job
                if self._inbox.closed and not self._inbox.depth:
                    raise trio.EndOfChannel
                await self._wait()

    def _is_more_to_be_had(self, job: Job, freed: Guard | None) -> bool:
        """Whether a call may start that the one who waits does not know of: after `freed` was."""
        if job.permit is None:
            return False
        guard = job.permit.guard
        return guard is not freed or guard.opens_at(job.since) < self._waiting.deadline

    async def _wait(self) -> None:
        news = self._news = trio.Event()
        try:
            with trio.CancelScope(deadline=self._wake_at) as self._waiting:
                await news.wait()
        finally:
            self._news = None
            self._blocked = False

    def give_back(self, permit: Permit) -> None:
        """A call is over, and its worker is about to ask for the next message: it is not told."""
        permit.guard.release(permit, besides=self._route.notify)

    def notify(self) -> None:
        """There may be something to do."""
        if self._news is not None:
            self._news.set()

    def tell_of_provider(self) -> None:
        """A provider may take a call earlier than was said."""
        if self._blocked:
            self.notify()

    def _match(self) -> Job | None:
        inbox = self._inbox
        now = trio.current_time()
        if inbox.next_event <= now:
            inbox.turn_over(now)
        if self.refuses:
            return self._refuse(now)
        self._wake_at = inf
        asked: _Asked = {}
        lanes = inbox.lanes()
        for lane in lanes:
            job = self._from(lane, asked, now)
            if job is not None:
                return job
        self._blocked = bool(lanes)
        self._wake_at = min(self._wake_at, inbox.next_event)
        return None

    def _from(self, lane: Lane, asked: _Asked, now: float) -> Job | None:
        def can(kind: Signature) -> bool:
            return self._choose(kind, asked, now) is not None

        while (taken := self._inbox.take(lane, can)) is not None:
            envelope, kind = taken
            guard = asked[kind]
            job = None if guard is None else self._start(envelope, guard, now)
            if job is not None:
                return job
        return None

    def _choose(self, kind: Signature, asked: _Asked, now: float) -> Guard | None:
        """The provider for such messages, asked once a match: weights count each asking."""
        if kind not in asked:
            asked[kind], opens_at = self._route.choose(kind, now)
            if asked[kind] is None:
                self._wake_at = min(self._wake_at, opens_at)
        return asked[kind]

    def _start(self, envelope: Envelope, guard: Guard, now: float) -> Job | None:
        turn = guard.serialize_by(envelope.delivery)
        if not guard.turns.take(turn):
            self._inbox.set_aside(envelope)
            guard.turns.when_free(turn or "", partial(self._take_up, envelope))
            return None
        return Job(envelope, guard.permit(turn, now), now, now + guard.limits.timeout)

    def _take_up(self, envelope: Envelope) -> None:
        self._inbox.take_up(envelope)
        self.notify()

    def _refuse(self, now: float) -> Job | None:
        for lane in self._inbox.lanes():
            if (taken := self._inbox.take(lane, lambda _: True)) is not None:
                return Job(taken[0], None, now)
        self._wake_at = self._inbox.next_event
        return None
