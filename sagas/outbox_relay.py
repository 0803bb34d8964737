"""Posts events until they are accepted: across restarts, in order for each saga, for at most a day.

An event that the Flow Manager refuses is parked at once, with the reason: a retry would be refused
too. While the Flow Manager accepts nothing at all, it gets one event at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from random import random
from typing import Final, Literal
from weakref import WeakValueDictionary

import trio

from carillon.messages.clock import milliseconds
from carillon.messages.errors import Conflict, JournalUnavailable
from carillon.messages.events import Observer, SagaEventCrashed, SagaEventTried
from carillon.messages.model import Accepted, Refused, Unavailable
from carillon.messages.ports.outbox import (
    LONGEST_REST,
    DueEvent,
    EventRecord,
    FlowManager,
    Outbox,
    PostResult,
    SagaEvent,
)
from carillon.messages.retry import ceiling, jittered, retry_until

AT_ONCE: Final = 16
"""How many sagas get an event at the same time."""
AWAY: Final = 10
"""Failures in a row after which the Flow Manager counts as down."""
LONGEST_GAP: Final = 5.0
"""Seconds between two events while it is down."""
BROKEN_REST: Final = 5.0
"""Seconds between two reads of an outbox that cannot be read."""


@dataclass(frozen=True, slots=True)
class Persistence:
    """How long an event is retried, and how long it rests after a failure, in seconds."""

    first_delay: float = 0.5
    max_delay: float = 60.0
    gives_up_after: float = 86_400.0


class Sender:
    """Takes events, and posts those of the outbox while `run` runs."""

    def __init__(
        self,
        outbox: Outbox,
        flow_manager: FlowManager,
        observe: Observer,
        persistence: Persistence = Persistence(),
        now: Callable[[], int] = milliseconds,
        doubts_clock: Callable[[], bool] = lambda: False,
        draw: Callable[[], float] = random,
    ) -> None:
        self._outbox = outbox
        self._flow_manager = flow_manager
        self._observe = observe
        self._persistence = persistence
        self._now = now
        self._doubts_clock = doubts_clock
        self._draw = draw
        self._woken = trio.Event()
        self._busy: set[str] = set()
        self._failures = 0
        self._rests_until = -inf
        self._watched: WeakValueDictionary[str, trio.Event] = WeakValueDictionary()

    def watch(self, event_id: str) -> trio.Event:
        """What is set when an event is accepted or parked, as long as a caller keeps it."""
        watched = self._watched.get(event_id)
        if watched is None:
            watched = self._watched[event_id] = trio.Event()
        return watched

    async def add(self, event: SagaEvent) -> None:
        """Make an event durable and have it posted. Raises JournalUnavailable."""
        await self._outbox.add(event, self._now())
        self._woken.set()

    async def find(self, event_id: str) -> EventRecord | None:
        """The event with this id, if it is durable. Raises JournalUnavailable."""
        return await self._outbox.find(event_id)

    async def repeat(self, event_id: str) -> bool:
        """Post an event again, whatever its state; False if it does not exist, or not yet.

        Raises JournalUnavailable.
        """
        known = await self._outbox.again(event_id, self._now())
        self._woken.set()
        return known

    async def redrive(
        self, event_id: str, first: Callable[[], Awaitable[None]] | None = None
    ) -> EventRecord | None:
        """Post an event that is parked or rests, now; None if it does not exist.

        `first` runs once nothing stands in the way; if it raises, nothing is posted.

        Raises:
            Conflict: it was accepted.
            JournalUnavailable: the outbox cannot be used.
        """
        found = await self._outbox.find(event_id)
        if found is None:
            return None
        if found.state == "accepted":
            raise Conflict("The event was accepted; there is nothing to post again")
        with trio.CancelScope(shield=True):  # a caller that hangs up must not leave it half done
            if first is not None:
                await first()
            await self.repeat(event_id)
        return await self._outbox.find(event_id)

    async def run(self) -> None:
        """Post what is due, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                # Before the outbox is read: an event that is added meanwhile must wake the wait.
                self._woken = trio.Event()
                rest = await self._start_due(nursery)
                with trio.move_on_after(rest):
                    await self._woken.wait()

    async def _start_due(self, nursery: trio.Nursery) -> float:
        """Start posting what is due; returns the seconds until there may be more to start."""
        most = AT_ONCE if self._failures < AWAY else 1
        left = self._rests_until - trio.current_time()
        if left > 0 or len(self._busy) >= most:
            return left if left > 0 else inf
        now = self._now()
        try:
            due = await self._outbox.due(now, most + len(self._busy))
        except JournalUnavailable:
            return BROKEN_REST
        for one in due.events:
            if one.event.key not in self._busy and len(self._busy) < most:
                self._busy.add(one.event.key)
                nursery.start_soon(self._see_to, one)
        if due.next is None:
            return inf
        return min(max(0.0, (due.next - now) / 1000), LONGEST_REST / 1000)

    async def _see_to(self, due: DueEvent) -> None:
        try:
            verdict = await self._flow_manager.post(due.event)
        except Exception as error:  # a bug of ours must not stop the other events
            self._observe(SagaEventCrashed(due.event.id, error))
            verdict = Unavailable("Internal error; the log has the details")
        try:
            await self._conclude(due, verdict)
        finally:
            self._busy.remove(due.event.key)
            self._woken.set()

    async def _conclude(self, due: DueEvent, verdict: PostResult) -> None:
        identity, now = due.event.id, self._now()
        match verdict:
            case Accepted():
                self._failures = 0
                await self._write(partial(self._outbox.accepted, identity, now))
                self._ended(due, "accepted")
            case Refused(error):
                self._failures = 0
                await self._park(due, error)
            case Unavailable(error, retry_after):
                self._count_failure()
                until = now + self._rest(due.attempts + 1, retry_after)
                lasts = until - due.since
                if lasts > self._persistence.gives_up_after * 1000 and not self._doubts_clock():
                    await self._park(due, error)
                    return
                await self._write(partial(self._outbox.postponed, identity, until, error))
                self._observe(SagaEventTried(identity, "postponed", due.attempts + 1, error))

    def _rest(self, attempt: int, retry_after: float | None) -> int:
        """Milliseconds until an event can be posted again after `attempt` (1 is the first)."""
        own = jittered(
            attempt, self._persistence.first_delay, self._persistence.max_delay, self._draw
        )
        while_down = self._rests_until - trio.current_time()
        return round(max(own, retry_after or 0.0, while_down) * 1000)

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures >= AWAY:
            rest = ceiling(self._failures - AWAY + 1, 0.5, LONGEST_GAP)
            self._rests_until = trio.current_time() + rest

    async def _write(self, write: Callable[[], Awaitable[None]]) -> None:
        """Retry until it is written or cancelled: what was posted must not be posted again."""
        await retry_until(write, trio.Event(), first_delay=0.1, max_delay=BROKEN_REST)

    async def _park(self, due: DueEvent, error: str) -> None:
        await self._write(partial(self._outbox.parked, due.event.id, self._now(), error))
        self._ended(due, "parked", error)

    def _ended(self, due: DueEvent, result: Literal["accepted", "parked"], error: str = "") -> None:
        self._observe(SagaEventTried(due.event.id, result, due.attempts + 1, error))
        watched = self._watched.get(due.event.id)
        if watched is not None:
            watched.set()
