"""A worker's lease on a channel's inbox.

The supervisor owns it, so when a worker crashes its message survives: after `take` returned, a
message is nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from carillon.actors.channel import WorkerStatus

if TYPE_CHECKING:
    from carillon.actors.inbox import Inbox
    from carillon.actors.provider.call import Call
    from carillon.actors.provider.guard import Guard, Permit
    from carillon.actors.scheduler import Job, Scheduler
    from carillon.messages.envelope import Envelope


class Mailbox:
    """One worker's lease: a message stays leased until it is acknowledged or given back."""

    def __init__(self, inbox: Inbox, scheduler: Scheduler) -> None:
        self.job: Job | None = None
        self.open_call: tuple[Guard, Call] | None = None
        self.dismissed = False
        self.restarting = False
        self.scope = trio.CancelScope()
        self._inbox = inbox
        self._scheduler = scheduler
        self._freed: Guard | None = None

    def is_stuck(self, margin: float) -> bool:
        """Whether its message is held that many seconds longer than any call may take."""
        return self.job is not None and trio.current_time() > self.job.due + margin

    def status(self, number: int, margin: float) -> WorkerStatus:
        """What the worker holds now."""
        job = self.job
        if job is None:
            return WorkerStatus(number, "restarting" if self.restarting else "idle")
        return WorkerStatus(
            number,
            "working",
            delivery_id=job.envelope.delivery.id,
            provider=None if job.permit is None else job.permit.guard.name,
            held_for=trio.current_time() - job.since,
            stuck=self.is_stuck(margin),
        )

    @property
    def envelope(self) -> Envelope:
        """The leased message. Raises LookupError when there is none."""
        if self.job is None:
            raise LookupError("no message is leased")
        return self.job.envelope

    async def take(self) -> Job:
        """The next message that can start. Raises trio.EndOfChannel when there will be none."""
        freed, self._freed = self._freed, None
        self.job = await self._scheduler.next(freed)
        return self.job

    def expect(self, due: float) -> None:
        """The message must be over by then, on trio's clock."""
        if self.job is not None:
            self.job.due = due

    def give_permit_back(self, permit: Permit) -> None:
        """The call is over. The channel is not told: this worker looks for the next message."""
        self._freed = permit.guard
        self._scheduler.give_back(permit)

    def leave(self) -> None:
        """This worker asks for no further message."""
        self._tell_what_was_freed()

    def _tell_what_was_freed(self) -> None:
        self._freed = None
        self._scheduler.notify()

    def acknowledge(self) -> None:
        """The message was answered."""
        self.job = None

    def give_back(self) -> None:
        """Hand the leased message back to be started again."""
        self._inbox.give_back(self.envelope)
        self.job = None
        self._scheduler.notify()

    async def rest(self, seconds: float) -> None:
        """Hand the leased message back until it is due, or wait for that where no place is left."""
        if self._inbox.park(self.envelope, seconds):
            self.job = None
            self._scheduler.notify()
            return
        if self.job is not None:
            self.job.due += seconds
        self._tell_what_was_freed()
        await trio.sleep(seconds)
        self.give_back()
