"""The workers of a channel: places for one message each, and what becomes of what they hold.

A message stays with its worker until it was answered or given back, so a crash loses none: after
it was taken out of the inbox it is nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING

import trio

from carillon.actors.channel import WorkerStatus
from carillon.messages.ports.journal import AttemptEnd

if TYPE_CHECKING:
    from carillon.actors.inbox import Inbox
    from carillon.actors.router import Route
    from carillon.actors.scheduler import Job
    from carillon.messages.envelope import Envelope
    from carillon.messages.ports.journal import AttemptLog


class Workers:
    """What each holds, by its number in `jobs`; there are as many as calls may be open.

    Those that have crashed stay away for a while. `changed` is called when there may be something
    to start.
    """

    def __init__(
        self,
        route: Route,
        inbox: Inbox,
        log: AttemptLog,
        max_crashes: int,
        changed: Callable[[], None],
    ) -> None:
        self.jobs: dict[int, Job] = {}
        self._route = route
        self._inbox = inbox
        self._log = log
        self._max_crashes = max_crashes
        self._changed = changed
        self._numbers = count(1)
        self._free: list[int] = []
        self._away: dict[int, float] = {}  # until when

    def idle(self, now: float) -> int:
        """How many may take a message; below 0 when more are at work than calls may be open."""
        if self._away:
            self._bring_back(now)
        return self._route.workers - len(self.jobs) - len(self._away)

    @property
    def back_at(self) -> Sequence[float]:
        """When those that are away are back, on trio's clock."""
        return tuple(self._away.values())

    def _bring_back(self, now: float) -> None:
        for number, until in list(self._away.items()):
            if until <= now:
                del self._away[number]
                self._free.append(number)

    def occupy(self, job: Job) -> None:
        """A worker takes a message."""
        job.number = self._free.pop() if self._free else next(self._numbers)
        self.jobs[job.number] = job

    def holds(self, job: Job) -> bool:
        """Whether its worker has not been done with it."""
        return self.jobs.get(job.number) is job

    def acknowledge(self, job: Job) -> None:
        """The message was answered or kept elsewhere: its worker is free."""
        if self.jobs.pop(job.number, None) is not None:
            self._free.append(job.number)

    def give_back(self, job: Job) -> None:
        """Hand a message back to be started again."""
        self.acknowledge(job)
        self._inbox.give_back(job.envelope)
        self._changed()

    def send_away(self, number: int, seconds: float) -> None:
        """Let a worker that crashed, and holds nothing any more, take none for so many seconds."""
        if seconds > 0 and number in self._free:
            self._free.remove(number)
            self._away[number] = trio.current_time() + seconds

    def requeue_or_fail(self, job: Job) -> None:
        """Answer or give back what a worker held that will not go on with it."""
        envelope = job.envelope
        envelope.crashes += 1
        if envelope.open_attempt is not None:
            envelope.in_doubt = True
        if envelope.in_doubt and not (envelope.repeatable and _may_repeat(job)):
            _leave_in_doubt(envelope, "an internal error came before the provider's answer")
        elif envelope.crashes >= self._max_crashes:
            envelope.end("failed", "crashed", "Internal error while sending")
        elif envelope.cancelled:
            envelope.cancel()
        if envelope.answered:
            self.acknowledge(job)
            self._changed()
            return
        if envelope.open_attempt is None and job.is_on_record:
            self._log.end(_unstarted(envelope))
        self.give_back(job)

    def interrupt(self) -> None:
        """Leave every message to the next start.

        Open calls are in doubt, unless a repeat would be recognised: that can wait, too.
        """
        for job in list(self.jobs.values()):
            envelope = job.envelope
            if envelope.open_attempt is None:
                if job.is_on_record:
                    self._log.end(_unstarted(envelope))
            elif not envelope.repeatable:
                _leave_in_doubt(envelope, "stopped before the provider answered")
            self.acknowledge(job)

    def cancel(self, dispatch_id: str) -> None:
        """Cancel what waits of a dispatch; what a call is open for makes no further attempt."""
        for job in self.jobs.values():
            if job.envelope.delivery.dispatch_id == dispatch_id:
                job.envelope.cancelled = True
        for envelope in self._inbox.cancel(dispatch_id):
            envelope.cancel()

    def disown(self, dispatch_id: str) -> None:
        """Forget what waits of a dispatch, and what becomes of its open calls."""
        for job in self.jobs.values():
            if job.envelope.delivery.dispatch_id == dispatch_id:
                job.envelope.answered = True
        for envelope in self._inbox.cancel(dispatch_id):
            envelope.answered = True

    def status(self, margin: float) -> Sequence[WorkerStatus]:
        """Each of them; one is stuck that holds a message `margin` seconds longer than it may."""
        now = trio.current_time()
        busy = [
            WorkerStatus(
                job.number,
                "working",
                delivery_id=job.envelope.delivery.id,
                provider=None if job.guard is None else job.guard.name,
                held_for=now - job.since,
                stuck=now > job.due + margin,
            )
            for job in self.jobs.values()
        ]
        away = [WorkerStatus(number, "restarting") for number in self._away]
        idle = max(0, self._route.workers - len(busy) - len(away))
        while len(self._free) < idle:
            self._free.append(next(self._numbers))
        return [*busy, *away, *(WorkerStatus(number, "idle") for number in self._free[:idle])]


def _may_repeat(job: Job) -> bool:
    """Whether the provider whose call was cut off may be called once more for it."""
    guard = job.guard
    return guard is None or job.envelope.tries.get(guard.name, 0) < guard.limits.retry.attempts


def _unstarted(envelope: Envelope) -> AttemptEnd:
    """What is told of a call that is not made, or was cut off before a byte of it left."""
    delivery, number = envelope.delivery, envelope.starts
    return AttemptEnd(delivery.dispatch_id, delivery.channel, delivery.key, number, "unstarted")


def _leave_in_doubt(envelope: Envelope, why: str) -> None:
    envelope.end("in-doubt", "unknown-outcome", f"Outcome unknown: {why}", envelope.open_attempt)
