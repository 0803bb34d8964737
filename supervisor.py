"""Channel specifications in, living workers out: restarts, quarantine, drain, post.

One task a channel keeps its workers alive. What a worker holds is leased from the supervisor, so
a crash loses nothing; a message that crashes two workers fails alone; a channel that crashes more
often than its specification tolerates is quarantined, and its siblings run on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from carillon.actors.channel import (
    ChannelSpec,
    ChannelState,
    ChannelStatus,
    RestartIntensity,
    Waiting,
)
from carillon.actors.inbox import SHARE, Inbox
from carillon.actors.lane import Weigh, equal_weights
from carillon.actors.open_calls import CallContext, OpenCalls
from carillon.actors.scheduler import Scheduler
from carillon.messages.events import ChannelQuarantined, Observer, WorkerCrashed, WorkerStuck
from carillon.messages.retry import ceiling

if TYPE_CHECKING:
    from carillon.actors.scheduler import Job
    from carillon.messages.envelope import Envelope
    from carillon.messages.model import Channel, Priority
    from carillon.messages.ports.journal import AttemptLog
    from carillon.messages.ports.work_sharing import Served

TICK: Final = 1.0
"""Seconds between two looks at what no worker may have come by: expiry, stuck workers."""


class SupervisedChannel:
    """One channel's inbox, its open calls and its record of crashes."""

    def __init__(self, spec: ChannelSpec, observe: Observer, log: AttemptLog, weigh: Weigh) -> None:
        self.spec = spec
        self.state: ChannelState = "running"
        self._observe = observe
        self.inbox = Inbox(spec.capacity, spec.parking, weigh)
        self._scheduler = Scheduler(self.inbox, spec.route)
        context = CallContext(spec.route, log, self._refuse, self._crashed, spec.max_crashes)
        self._calls = OpenCalls(self.inbox, self._scheduler, context)
        self._crashes = RestartIntensity(spec.max_restarts, spec.window)

    @property
    def status(self) -> ChannelStatus:
        """How the channel is doing now."""
        return ChannelStatus(
            state=self.state,
            depth=self.inbox.depth,
            capacity=self.inbox.capacity,
            parked=self.inbox.parked,
            restarts=self._crashes.total,
            recent_restarts=self._crashes.recent,
            max_restarts=self.spec.max_restarts,
            window=self.spec.window,
            workers=self._calls.workers.status(self.spec.margin),
        )

    def put(self, envelopes: Sequence[Envelope]) -> None:
        """Queue deliveries of one dispatch. Once the channel is closed they stay pending."""
        if self.inbox.closed:
            return
        self.inbox.put([one for one in envelopes if not one.starts])
        for envelope in envelopes:
            if envelope.starts:
                self.spec.route.restore(envelope)
                if not envelope.answered:
                    self.inbox.give_back(envelope)
        self._scheduler.notify()

    def cancel(self, dispatch_id: str) -> None:
        """Cancel what waits of a dispatch; what a call is open for makes no further attempt."""
        self._calls.workers.cancel(dispatch_id)

    def disown(self, dispatch_id: str) -> None:
        """Do and report nothing more for a dispatch."""
        self._calls.workers.disown(dispatch_id)

    async def run(self) -> None:
        """Keep the workers alive until the inbox is closed and empty."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            await self._keep_alive()
            nursery.cancel_scope.cancel()

    def close(self) -> None:
        """Take no more; queued deliveries are still sent."""
        self.inbox.close()
        self._scheduler.notify()

    def abandon(self) -> None:
        """Leave what is left to the next start. The workers must have ended."""
        self.inbox.close()
        self.inbox.empty()
        self._calls.workers.interrupt()

    def revive(self) -> None:
        """Let a quarantined channel work again, its crashes forgiven."""
        self._crashes.forgive()
        self.state = "running"
        self._scheduler.refuses = False
        self._scheduler.notify()

    async def _keep_alive(self) -> None:
        while True:
            try:
                await self._calls.run()
            except Exception as error:  # a bug that concerns no message alone
                pause = self._crashed(error, None)
                for job in list(self._calls.workers.jobs.values()):
                    self._calls.workers.requeue_or_fail(job)
                await trio.sleep(pause)
            else:
                return  # drained

    def _refuse(self, envelope: Envelope) -> None:
        text = f"The {self.spec.name} channel is out of service"
        envelope.end("failed", "channel-down", text)

    def _crashed(self, error: Exception, envelope: Envelope | None) -> float:
        identity = None if envelope is None else envelope.delivery.id
        self._observe(WorkerCrashed(self.spec.name, error, identity))
        self._count_crash(error)
        if self.state != "running":
            return 0.0
        return ceiling(self._crashes.recent, self.spec.first_delay, self.spec.max_delay)

    def _count_crash(self, error: Exception) -> None:
        self._crashes.add()
        if self._crashes.too_many and self.state == "running":
            # Calls that are under way end by themselves: they are not in doubt.
            self.state = "quarantined"
            self._scheduler.refuses = True
            self._scheduler.notify()
            self._observe(ChannelQuarantined(self.spec.name, self._crashes.total, error))

    async def _watch(self) -> None:
        """Handle what no worker gets to: all may be busy, or one may be stuck."""
        while True:
            due = trio.current_time() + TICK
            await trio.sleep_until(due)
            self.inbox.turn_over(trio.current_time())
            self._scheduler.notify()
            if trio.current_time() > due + TICK:
                continue  # the process was suspended, and no worker has run since
            for job in list(self._calls.workers.jobs.values()):
                if trio.current_time() > job.due + self.spec.margin:
                    self._replace(job)

    def _replace(self, job: Job) -> None:
        name = "" if job.guard is None else job.guard.name
        held_for = trio.current_time() - job.since
        self._observe(WorkerStuck(self.spec.name, name, held_for, job.envelope.delivery.id))
        self._crashes.add()
        self._calls.replace(job)


class Supervisor:
    """Keeps every channel's workers alive, and isolates the channels from each other's failures.

    `weigh` returns the weight of a caller, by which callers share a channel.
    """

    def __init__(
        self,
        specs: Sequence[ChannelSpec],
        observe: Observer,
        log: AttemptLog,
        weigh: Weigh = equal_weights,
    ) -> None:
        self._channels = {spec.name: SupervisedChannel(spec, observe, log, weigh) for spec in specs}
        self._weigh = weigh
        self._workers = trio.CancelScope()
        self._ended = trio.Event()

    @asynccontextmanager
    async def running(self, grace: float) -> AsyncGenerator[None]:
        """Run the workers while the body runs; then deliver what is left for `grace` seconds.

        What has not been answered by then stays pending, or is in doubt if its call was open.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._run)
                try:
                    yield
                finally:
                    self._close()
                    self._workers.deadline = trio.current_time() + grace
        finally:
            self._abandon()

    async def halt(self) -> None:
        """Stop every worker now and leave what has not ended to the next start."""
        self._close()
        self._workers.cancel()
        await self._ended.wait()
        self._abandon()

    def _close(self) -> None:
        for channel in self._channels.values():
            channel.close()

    def _abandon(self) -> None:
        for channel in self._channels.values():
            channel.abandon()

    async def wait_for_capacity(
        self, channel: Channel, dispatch_id: str, until: float, caller: str = ""
    ) -> int:
        """See the port. A channel that is no longer active has room: its deliveries soon fail."""
        if channel not in self._channels:
            await trio.lowlevel.checkpoint()
            return SHARE
        return await self._channels[channel].inbox.wait_for_capacity(dispatch_id, until, caller)

    def queued(self, channel: Channel, dispatch_id: str) -> int:
        """See the port."""
        found = self._channels.get(channel)
        return 0 if found is None else found.inbox.queued(dispatch_id)

    def weight(self, caller: str) -> int:
        """See the port."""
        return self._weigh(caller)

    def served(self) -> Served:
        """How many deliveries of each channel, lane and caller were begun with here."""
        return {
            (name, priority, caller): number
            for name, channel in self._channels.items()
            for priority, caller, number in channel.inbox.served()
            if number
        }

    def callers_waiting(self, provider: str) -> Mapping[Priority, Mapping[str, int]]:
        """See the port."""
        lanes: dict[Priority, dict[str, int]] = {}
        for channel in self._channels.values():
            if channel.spec.route.leads_to(provider):
                for lane, caller in channel.inbox.callers():
                    lanes.setdefault(lane, {})[caller] = self._weigh(caller)
        return lanes

    def charge(self, elsewhere: Served) -> None:
        """Count what other replicas have begun with since this was called last.

        So callers share all replicas together, and not each of them.
        """
        for (channel, priority, caller), number in elsewhere.items():
            if channel in self._channels:
                self._channels[channel].inbox.charge(priority, caller, number)

    def put(self, channel: Channel, envelopes: Sequence[Envelope]) -> None:
        """Hand deliveries of one dispatch to their channel."""
        self._channels[channel].put(envelopes)

    def cancel(self, dispatch_id: str) -> None:
        """Cancel every delivery of a dispatch that no call is open for."""
        for channel in self._channels.values():
            channel.cancel(dispatch_id)

    def disown(self, dispatch_id: str) -> None:
        """Do nothing more for a dispatch: another process has taken it over."""
        for channel in self._channels.values():
            channel.disown(dispatch_id)

    def revive(self, channel: Channel) -> None:
        """Let a quarantined channel work again. Raises KeyError for one that is not there."""
        self._channels[channel].revive()

    def status(self) -> dict[Channel, ChannelStatus]:
        """Every channel at this moment."""
        return {name: channel.status for name, channel in self._channels.items()}

    def waiting(self) -> Mapping[str, Waiting]:
        """What waits for each provider: the one that would be chosen next."""
        found: dict[str, Waiting] = {}
        now = trio.current_time()
        for channel in self._channels.values():
            for kind, number, since in channel.inbox.waiting():
                name = channel.spec.route.awaited(kind)
                before = found.get(name, Waiting())
                oldest = max(before.oldest, now - since)
                found[name] = Waiting(before.deliveries + number, oldest)
        return found

    async def _run(self) -> None:
        with self._workers:
            async with trio.open_nursery() as nursery:
                for channel in self._channels.values():
                    nursery.start_soon(channel.run)
        self._ended.set()
