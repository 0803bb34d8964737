"""The tasks beside a channel's own, for calls that have to wait for more than their answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from carillon.actors.scheduler import Job

Make = Callable[["Job"], Awaitable[None]]
"""Makes the call of a job; it is cancelled when the call is overdue."""
Cut = Callable[["Job"], None]
"""Hears that it was, and has ended."""


class Helpers:
    """As many tasks as had to be at work at once. One that is free is used again.

    `given` counts the jobs that they were given, each of which runs in its `scope`. An idle helper
    keeps no message alive.
    """

    def __init__(self, make: Make, cut: Cut) -> None:
        self.given = 0
        self._make = make
        self._cut = cut
        self._idle: list[trio.lowlevel.Task] = []
        self._given: dict[trio.lowlevel.Task, Job] = {}

    def give(self, job: Job, nursery: trio.Nursery) -> None:
        """Have a call made, by a new task of `nursery` where none is idle."""
        self.given += 1
        if self._idle:
            task = self._idle.pop()
            self._given[task] = job
            trio.lowlevel.reschedule(task)
        else:
            nursery.start_soon(self._help, job)

    async def _help(self, job: Job | None) -> None:
        while True:
            with trio.CancelScope() as scope:
                while not scope.cancel_called:
                    if job is None:
                        job = await self._next()
                    job.scope = scope
                    await self._make(job)
                    job = None
            if job is not None:
                self._cut(job)
                job = None

    async def _next(self) -> Job:
        task = trio.lowlevel.current_task()
        self._idle.append(task)

        def leave(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            self._idle.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)
        return self._given.pop(task)
