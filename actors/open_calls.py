"""The actor of a channel: one task that carries every call that is open.

A pass of it reads the answers that came, writes the requests whose starts are on record by now,
takes as many messages as may start, and hands their starts over as one group. Then it sleeps until
something is readable or due. Whatever has to wait for more than its answer (a connection, a request
that the socket does not take at once, a provider whose call is no single exchange) is done by a
task beside it, which comes back with what came of it.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Final

import trio

from carillon.actors.helpers import Helpers
from carillon.actors.provider.call import Finish, NextProvider, Overdue, RetryAfter
from carillon.actors.provider.lease import ShareEnded
from carillon.actors.workers import Workers
from carillon.messages.errors import JournalUnavailable, Superseded
from carillon.messages.ports.journal import AttemptStart

if TYPE_CHECKING:
    from carillon.actors.inbox import Inbox
    from carillon.actors.router import Route
    from carillon.actors.scheduler import Job, Scheduler
    from carillon.messages.envelope import Envelope
    from carillon.messages.model import Attempt
    from carillon.messages.ports.journal import AttemptLog

JOURNAL_PAUSE: Final = 1.0
"""Seconds until a delivery is tried again whose start could not be put on record."""
MOST_TAKEN: Final = 32
MOST_READ: Final = 16
"""Messages of which one pass takes, and reads, so many at most."""
LONGEST_PART: Final = 0.001
"""Seconds after which a pass writes no further request."""
MOST_HELPED: Final = 4
"""Calls that one pass gives to tasks beside it."""
LATE: Final = 0.1
"""Seconds by which a pass comes too late when the process was stopped meanwhile."""
GRACE: Final = 0.1
"""Seconds that are left then to read the answers that came. A call that has not started by then
does not start any more."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """What the calls of a channel need from their supervisor.

    `refuse` answers what a quarantined channel hands out. `crashed` hears of a bug and of the
    message that it came up with, and says for how many seconds its worker stays away.
    """

    route: Route
    log: AttemptLog
    refuse: Callable[[Envelope], None]
    crashed: Callable[[Exception, Envelope | None], float]
    max_crashes: int = 2


class OpenCalls:
    """Everything that is under way on one channel; `workers` are the places for it."""

    def __init__(self, inbox: Inbox, scheduler: Scheduler, context: CallContext) -> None:
        workers = Workers(context.route, inbox, context.log, context.max_crashes, self.wake)
        self.workers = self._workers = workers
        self._jobs = workers.jobs
        self._helpers = Helpers(self._make, self._cut)
        self._inbox = inbox
        self._scheduler = scheduler
        self._context = context
        self._route = context.route
        self._recorded: deque[tuple[Job, JournalUnavailable | None]] = deque()
        self._exchanges: dict[int, Job] = {}  # by descriptor
        self._can_watch = hasattr(select, "epoll")
        self._epoll: select.epoll | None = None
        self._nap: trio.CancelScope | None = None
        self._has_news = False
        self._takes_at = inf
        self._ends_at = inf
        self._is_late = False
        self._is_over = False
        self._beside: trio.Nursery
        scheduler.listen(self.wake)

    def wake(self) -> None:
        """There may be something to do."""
        self._has_news = True
        if self._nap is not None:
            self._nap.cancel()

    async def run(self) -> None:
        """Deliver until the inbox is closed, and nothing is left in it or under way.

        Only a bug raises that concerns no message alone.
        """
        self._is_over = False
        try:
            async with trio.open_nursery() as self._beside:
                while True:
                    is_busy = await self._pass()
                    if self._inbox.closed and not (self._jobs or self._inbox.depth):
                        break
                    if is_busy:
                        await trio.lowlevel.checkpoint()
                    else:
                        await self._sleep()
                self._beside.cancel_scope.cancel()  # idle helpers
        finally:
            self._let_go()

    async def _pass(self) -> bool:
        """Whether there was something to do."""
        self._has_news = False
        is_busy, is_shared = self._read()
        if is_shared:
            await trio.lowlevel.checkpoint()  # or the other channels would never come by
        now = trio.current_time()
        if now >= self._ends_at:
            self._end_overdue(now)
        is_busy |= self._take(now) | bool(self._recorded)
        self._start_recorded()
        return is_busy

    async def _sleep(self) -> None:
        if self._has_news:
            await trio.lowlevel.checkpoint()
            return
        until = min(self._takes_at, self._ends_at, *self._workers.back_at)
        with trio.CancelScope(deadline=until) as self._nap:
            if self._epoll is None:
                await trio.sleep_forever()
            else:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
        self._nap = None

    def _read(self) -> tuple[bool, bool]:
        """Read the answers that came: whether there were any, and any of a shared provider."""
        if self._epoll is None:
            return False, False
        events = self._epoll.poll(0, MOST_READ)
        is_shared = False
        for number, _ in events:
            job = self._exchanges.get(number)
            if job is not None and job.guard is not None:
                is_shared = is_shared or job.guard.shared
                self._read_answer(job)
        return bool(events), is_shared

    def _read_answer(self, job: Job, *, is_last: bool = False) -> None:
        """Read what there is of an answer; `is_last` ends the call with that."""
        exchange, call, read = job.exchange, job.call, job.read
        if exchange is None or call is None or read is None:
            return
        try:
            reply = exchange.cut() if is_last else exchange.read()
            if reply is not None:
                attempt: Attempt | None = read(reply, job.envelope.delivery)
            elif is_last:
                attempt = call.overdue()
            else:
                self._end_by(exchange.until)
                return
            self._end_call(job, attempt)
        except Exception as bug:
            self._crash(job, bug)

    def _take(self, now: float) -> bool:
        """Take what may start, and have it put on record; whether there was anything."""
        scheduler = self._scheduler
        most = MOST_TAKEN if scheduler.refuses else min(self._workers.idle(now), MOST_TAKEN)
        taken: list[Job] = []
        took = 0
        self._takes_at = inf
        while took < most:
            job = scheduler.take(now)
            if job is None:
                self._takes_at = scheduler.wakes_at
                break
            took += 1
            self._workers.occupy(job)
            if job.guard is None:
                self._turn_away(job)
            else:
                taken.append(job)
        else:
            scheduler.is_blocked = True
        if taken:
            self._put_on_record(taken)
        return took > 0

    def _turn_away(self, job: Job) -> None:
        """Answer a message that is not sent from here."""
        bug = job.bug
        if bug is None:
            try:
                self._context.refuse(job.envelope)
            except Exception as error:
                bug = error
        if bug is None:
            self._workers.acknowledge(job)
        else:
            self._crash(job, bug)

    def _put_on_record(self, jobs: Sequence[Job]) -> None:
        """Have the starts of calls made durable, in one group: nothing may leave before."""
        starts: list[AttemptStart] = []
        for job in jobs:
            job.is_on_record = True
            job.due = inf  # the journal has time limits of its own
            envelope = job.envelope
            delivery = envelope.delivery
            envelope.starts += 1
            name = "" if job.guard is None else job.guard.name
            place = delivery.dispatch_id, delivery.channel, delivery.key
            starts.append(AttemptStart(*place, envelope.starts, name))
        self._context.log.start_all(starts, partial(self._hear_of_record, jobs))

    def _hear_of_record(
        self, jobs: Sequence[Job], failures: Mapping[int, JournalUnavailable]
    ) -> None:
        self._recorded.extend((job, failures.get(at)) for at, job in enumerate(jobs))
        self.wake()

    def _start_recorded(self) -> None:
        """Make the calls that are on record."""
        until, most = perf_counter() + LONGEST_PART, self._helpers.given + MOST_HELPED
        while self._recorded:
            job, failure = self._recorded.popleft()
            if self._workers.holds(job):
                try:
                    if failure is not None or job.envelope.answered:
                        self._let_be(job, failure)
                    else:
                        self._start(job)
                except Exception as bug:
                    self._crash(job, bug)
            if perf_counter() > until or self._helpers.given >= most:
                break

    def _let_be(self, job: Job, failure: JournalUnavailable | None) -> None:
        """Make no call that is not on record, or that another process may have made."""
        envelope = job.envelope
        self._unused(job)
        if isinstance(failure, Superseded):
            if failure.in_doubt:
                envelope.end("in-doubt", "unknown-outcome", str(failure), envelope.at)
            envelope.answered = True  # the outcome is left to the other one, if it lives
        if envelope.answered:
            self._workers.acknowledge(job)
        else:
            self._rest(job, JOURNAL_PAUSE)

    def _start(self, job: Job) -> None:
        guard, permit = job.guard, job.permit
        if guard is None or permit is None:
            return
        call = job.call = guard.call(job.envelope, permit)
        job.due = call.latest
        try:
            begun = guard.begin(call) if self._can_watch else None
        except ShareEnded:
            call.is_prevented = True
            self._end_call(job, None)
            return
        except Overdue:
            self._end_call(job, call.overdue())
            return
        self._end_by(call.deadline)
        if begun is not None:
            job.exchange, job.read = begun
            if job.exchange.is_written:
                if self._epoll is None:
                    self._epoll = select.epoll()
                self._exchanges[job.exchange.number] = job
                job.exchange.watch(self._epoll)
                return
        self._helpers.give(job, self._beside)

    async def _make(self, job: Job) -> None:
        """Make a call that has to wait for more than its answer, or go on with one."""
        call, guard, exchange, read = job.call, job.guard, job.exchange, job.read
        if call is None or guard is None:
            return
        attempt: Attempt | None = None
        bug: Exception | None = None
        try:
            if exchange is None or read is None:
                attempt = await guard.make(call)
            else:
                attempt = read(await exchange.complete(), call.envelope.delivery)
            if job.permit is not None:
                job.permit.answered = True
        except Exception as error:
            bug = error
        finally:
            job.scope = job.exchange = None
            self._give_permit_back(job)
            self.wake()
        self._come_back(job, attempt, bug)

    def _cut(self, job: Job) -> None:
        if job.call is not None:
            self._come_back(job, job.call.overdue(), None)

    def _come_back(self, job: Job, attempt: Attempt | None, bug: Exception | None) -> None:
        """Go on with what came of a call that was made beside this task."""
        if not self._workers.holds(job):
            return  # it took too long, and somebody else goes on with it
        if bug is not None:
            self._crash(job, bug)
            return
        try:
            self._settle(job, attempt)
        except Exception as error:
            self._crash(job, error)

    def _end_by(self, at: float) -> None:
        self._ends_at = min(self._ends_at, at)

    def _end_overdue(self, now: float) -> None:
        """End the calls whose time is over, and find out when that of the next one is."""
        if now > self._ends_at + LATE and not self._is_late:
            self._is_late, self._ends_at = True, now + GRACE
            return
        self._is_late, self._ends_at = False, inf
        for job in list(self._jobs.values()):
            call, scope, exchange = job.call, job.scope, job.exchange
            if call is None or (scope is not None and scope.cancel_called):
                continue  # one that does not end for all that is not looked at again and again
            if scope is None and exchange is None:  # its helper is about to begin
                self._end_by(call.deadline)
                continue
            deadline = call.deadline
            if scope is None and exchange is not None and exchange.until < deadline:
                deadline = exchange.until
            if deadline > now:
                self._end_by(deadline)
            elif scope is not None:
                scope.cancel()
            else:
                self._read_answer(job, is_last=True)

    def _end_call(self, job: Job, attempt: Attempt | None) -> None:
        """A call was answered or given up."""
        self._forget_exchange(job)
        if job.permit is not None:
            job.permit.answered = True
        self._give_permit_back(job)
        self._settle(job, attempt)

    def _forget_exchange(self, job: Job) -> None:
        if job.exchange is not None:
            self._exchanges.pop(job.exchange.number, None)
            job.exchange.abandon()
            job.exchange = None

    def _give_permit_back(self, job: Job) -> None:
        permit, job.permit = job.permit, None
        if permit is not None:
            self._scheduler.give_back(permit)

    def _unused(self, job: Job) -> None:
        """The call that it has a permit for is not made, or has told nothing."""
        if job.permit is not None:
            job.permit.guard.unused()
            self._give_permit_back(job)

    def _settle(self, job: Job, attempt: Attempt | None) -> None:
        """See to what follows from a call that is over, whose permit was given back."""
        envelope, guard, call = job.envelope, job.guard, job.call
        if guard is None or call is None:
            return
        verdict = guard.judge(call, attempt)
        if isinstance(verdict, Finish):
            envelope.end(
                verdict.outcome, verdict.reason, verdict.error, guard.name, verdict.message_id
            )
        elif envelope.cancelled:
            envelope.cancel()
        elif isinstance(verdict, NextProvider):
            self._route.give_up(envelope, guard.name, verdict.error)
        elif isinstance(verdict, RetryAfter) and (
            trio.current_time() + verdict.seconds >= envelope.expires_at
        ):
            envelope.expire()
        if envelope.answered:
            self._workers.acknowledge(job)
            return
        self._context.log.end(call.ended(attempt))
        if isinstance(verdict, RetryAfter):
            self._rest(job, verdict.seconds)
        else:
            self._workers.give_back(job)

    def _rest(self, job: Job, seconds: float) -> None:
        """Keep its message until it is due; where no place is left the worker keeps it."""
        if self._inbox.park(job.envelope, seconds):
            self._workers.acknowledge(job)
            self.wake()
        elif self._is_over:
            self._workers.give_back(job)
        else:
            job.call, job.is_on_record = None, False
            job.due += seconds
            self._beside.start_soon(self._rest_here, job, seconds)

    async def _rest_here(self, job: Job, seconds: float) -> None:
        await trio.sleep(seconds)
        if self._workers.holds(job):
            self._workers.give_back(job)

    def _crash(self, job: Job, bug: Exception) -> None:
        """A bug came up with one message: it concerns that one, and its worker for a while."""
        self._forget_exchange(job)
        self._unused(job)
        seconds = self._context.crashed(bug, job.envelope)
        self._workers.requeue_or_fail(job)
        self._workers.send_away(job.number, seconds)

    def replace(self, job: Job) -> None:
        """Go on without a worker that is stuck. Its call keeps its place until it ends."""
        call, guard = job.call, job.guard
        self._workers.requeue_or_fail(job)
        if call is not None and guard is not None:
            guard.judge(call, call.overdue())  # its provider is to blame, and a probe is over
        if job.scope is not None:
            job.scope.cancel()

    def _let_go(self) -> None:
        """Leave no connection half used and no permit taken; messages stay with their workers."""
        self._is_over = True
        for job in list(self._exchanges.values()):
            self._read_answer(job)
        for job in self._jobs.values():
            self._forget_exchange(job)
            self._give_permit_back(job)
        self._recorded.clear()
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None
