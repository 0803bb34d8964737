"""Which message of a channel starts next, and at which provider.

A message is taken out only together with the permit for its call. So nothing waits inside a
provider's line: whatever can start is chosen by priority and fairness at the moment when it can,
and a provider that stalls, pauses or dies holds no message that another one could carry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import trio

from carillon.actors.lane import Lane, Signature

if TYPE_CHECKING:
    from carillon.actors.inbox import Inbox
    from carillon.actors.provider.call import Call
    from carillon.actors.provider.guard import Guard, Permit
    from carillon.actors.router import Route
    from carillon.http_client.ports import OpenExchange
    from carillon.messages.envelope import Envelope
    from carillon.providers.ports import ReadReply


_Asked = dict[Signature, "Guard | None"]


@dataclass(eq=False, slots=True)
class Job:
    """A message under way, and how far it has come.

    It was taken at `since`, by the worker of that `number`, and must be over by `due`, on trio's
    clock. `guard` is None when the channel refuses all, or when a `bug` came up as it was taken.
    The `permit` is there until its call is over; its start `is_on_record` once it was handed over.
    A `call` that is made over an `exchange` needs
    nobody who waits for it; another one is made in the `scope` of a task.
    """

    envelope: Envelope
    guard: Guard | None
    permit: Permit | None
    since: float
    due: float = inf
    number: int = 0
    call: Call | None = None
    exchange: OpenExchange | None = None
    read: ReadReply | None = None
    scope: trio.CancelScope | None = None
    bug: Exception | None = None
    is_on_record: bool = False


class Scheduler:
    """Matches one channel's messages with its providers.

    `wakes_at` says when something may start that could not at the last look, on trio's clock; the
    scheduler `is_blocked` while something waits for a provider or for a worker.
    """

    def __init__(self, inbox: Inbox, route: Route) -> None:
        self.refuses = False
        self.wakes_at = inf
        self.is_blocked = False
        self._inbox = inbox
        self._route = route
        self._listener: Callable[[], None] = lambda: None
        route.listen(self.tell_of_provider)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this whenever there may be something to do."""
        self._listener = listener

    def notify(self) -> None:
        """There may be something to do."""
        self._listener()

    def tell_of_provider(self) -> None:
        """A provider may take a call earlier than was said."""
        if self.is_blocked:
            self._listener()

    def give_back(self, permit: Permit) -> None:
        """A call is over. This channel is not told: it is about to look for the next message."""
        permit.guard.release(permit, besides=self._route.notify)

    def take(self, now: float) -> Job | None:
        """The next message that can start, with its permit; None when there is none."""
        inbox = self._inbox
        if inbox.next_event <= now:
            inbox.turn_over(now)
        if self.refuses:
            return self._refuse(now)
        self.wakes_at = inf
        asked: _Asked = {}
        lanes = inbox.lanes()
        for lane in lanes:
            job = self._from(lane, asked, now)
            if job is not None:
                return job
        self.is_blocked = bool(lanes)
        self.wakes_at = min(self.wakes_at, inbox.next_event)
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
                self.wakes_at = min(self.wakes_at, opens_at)
        return asked[kind]

    def _start(self, envelope: Envelope, guard: Guard, now: float) -> Job | None:
        try:
            turn = guard.serialize_by(envelope.delivery)
        except Exception as bug:  # it concerns this message alone
            return Job(envelope, None, None, now, bug=bug)
        if not guard.turns.take(turn):
            self._inbox.set_aside(envelope)
            guard.turns.when_free(turn or "", partial(self._take_up, envelope))
            return None
        return Job(envelope, guard, guard.permit(turn, now), now, now + guard.limits.timeout)

    def _take_up(self, envelope: Envelope) -> None:
        self._inbox.take_up(envelope)
        self.notify()

    def _refuse(self, now: float) -> Job | None:
        for lane in self._inbox.lanes():
            if (taken := self._inbox.take(lane, lambda _: True)) is not None:
                return Job(taken[0], None, None, now)
        self.wakes_at = self._inbox.next_event
        return None
