"""Channel specifications in, living workers out: restarts, quarantine, drain, post.

One task a channel keeps its workers alive. What a worker holds is leased from the supervisor, so
a crash loses nothing; a message that crashes two workers fails alone; a channel that crashes more
often than its specification tolerates is quarantined, and its siblings run on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import trio

from actors.mailbox import Inbox, Mailbox
from actors.worker import Route, work
from messages.backoff import ceiling
from messages.events import ChannelQuarantined, Observer, WorkerCrashed

if TYPE_CHECKING:
    from actors.guard import Later
    from messages.envelope import Envelope
    from messages.model import Channel

ChannelState = Literal["running", "quarantined"]


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """How one channel is kept alive; times are in seconds.

    More than `max_restarts` crashes within `window` quarantine it (Erlang's restart intensity and
    period); after each crash its worker waits between `first_delay` and `max_delay`.
    """

    name: Channel
    route: Route
    capacity: int = 200
    parking: int = 1000
    max_restarts: int = 10
    window: float = 60.0
    max_crashes: int = 2
    first_delay: float = 0.1
    max_delay: float = 5.0


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """One channel at one moment."""

    state: ChannelState
    depth: int
    restarts: int


class SupervisedChannel:
    """One channel's inbox, its workers' leases and its record of crashes."""

    def __init__(self, spec: ChannelSpec, observe: Observer) -> None:
        self.spec = spec
        self.state: ChannelState = "running"
        self.restarts = 0
        self._observe = observe
        self._inbox = Inbox(spec.capacity, spec.parking)
        self._mailboxes = [Mailbox(self._inbox) for _ in range(spec.route.workers)]
        self._crashes: deque[float] = deque()

    @property
    def status(self) -> ChannelStatus:
        """How the channel is doing now."""
        return ChannelStatus(self.state, self._inbox.depth, self.restarts)

    async def post(self, envelope: Envelope) -> None:
        """Wait while the inbox is full, then hand over; answered at once when that is over."""
        try:
            await self._inbox.put(envelope)
        except trio.ClosedResourceError:
            envelope.end("failed", "stopping", "Service stopping")

    async def run(self) -> None:
        """Keep the workers alive until the inbox is closed and empty."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._inbox.bring_back)
            async with trio.open_nursery() as workers:
                for mailbox in self._mailboxes:
                    workers.start_soon(self._keep_alive, mailbox)
            nursery.cancel_scope.cancel()

    def close(self) -> None:
        """Take no more; what is there is still delivered."""
        self._inbox.close()

    def abandon(self) -> None:
        """Answer everything that is left. The workers must have ended."""
        self._inbox.close()
        for envelope in self._inbox.empty():
            envelope.end("failed", "stopping", "Service stopping")
        for mailbox in self._mailboxes:
            if mailbox.leased is not None:
                _interrupt(mailbox.leased)
                mailbox.acknowledge()

    def revive(self) -> None:
        """Let a quarantined channel work again, its crashes forgiven."""
        self._crashes.clear()
        self.state = "running"

    async def deliver(self, envelope: Envelope) -> Later | None:
        """What the workers do with a message: deliver it, or refuse it in quarantine."""
        if self.state == "running":
            return await self.spec.route.deliver(envelope)
        await trio.lowlevel.checkpoint()
        envelope.end("failed", "channel-down", f"The {self.spec.name} channel is out of service")
        return None

    async def _keep_alive(self, mailbox: Mailbox) -> None:
        while True:
            try:
                return await work(mailbox, self.deliver)  # a normal return means drained
            except Exception as error:  # any bug; a Cancelled is no Exception
                self._crashed(mailbox, error)
            if self.state == "running":
                spec = self.spec
                await trio.sleep(ceiling(len(self._crashes), spec.first_delay, spec.max_delay))

    def _crashed(self, mailbox: Mailbox, error: Exception) -> None:
        envelope = mailbox.leased
        self._observe(
            WorkerCrashed(self.spec.name, error, None if envelope is None else envelope.delivery.id)
        )
        if envelope is not None:
            envelope.crashes += 1
            if envelope.open_attempt is not None and not envelope.repeatable:
                _leave_in_doubt(envelope, "an internal error came before the provider's answer")
                mailbox.acknowledge()
            elif envelope.crashes >= self.spec.max_crashes:
                envelope.end("failed", "crashed", "Internal error while sending")
                mailbox.acknowledge()
        self._count_crash(error)

    def _count_crash(self, error: Exception) -> None:
        self.restarts += 1
        now = trio.current_time()
        self._crashes.append(now)
        while self._crashes[0] < now - self.spec.window:
            self._crashes.popleft()
        if len(self._crashes) > self.spec.max_restarts and self.state == "running":
            # Calls that are under way end by themselves: they are not in doubt.
            self.state = "quarantined"
            self._observe(ChannelQuarantined(self.spec.name, self.restarts, error))


def _interrupt(envelope: Envelope) -> None:
    if envelope.open_attempt is None:
        envelope.end("failed", "stopping", "Service stopping")
    else:
        _leave_in_doubt(envelope, "stopped before the provider answered")


def _leave_in_doubt(envelope: Envelope, why: str) -> None:
    envelope.end("in-doubt", "unknown-outcome", f"Outcome unknown: {why}", envelope.open_attempt)


class Supervisor:
    """Keeps every channel's workers alive, and one channel's trouble away from the others."""

    def __init__(self, specs: Sequence[ChannelSpec], observe: Observer) -> None:
        self._channels = {spec.name: SupervisedChannel(spec, observe) for spec in specs}
        self._workers = trio.CancelScope()
        self._ended = trio.Event()

    @asynccontextmanager
    async def running(self, grace: float) -> AsyncGenerator[None]:
        """Run the workers around the body; afterwards deliver what is left for `grace` seconds.

        What has not been answered by then ends `stopping`, or in doubt when its call was open.
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
        """Stop every worker now and answer everything that is left."""
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

    async def post(self, envelope: Envelope) -> None:
        """Hand an envelope to its channel; waits while that one is full."""
        await self._channels[envelope.delivery.channel].post(envelope)

    def revive(self, channel: Channel) -> None:
        """Let a quarantined channel work again. Raises KeyError for one that is not there."""
        self._channels[channel].revive()

    def status(self) -> dict[Channel, ChannelStatus]:
        """Every channel at this moment."""
        return {name: channel.status for name, channel in self._channels.items()}

    async def _run(self) -> None:
        with self._workers:
            async with trio.open_nursery() as nursery:
                for channel in self._channels.values():
                    nursery.start_soon(channel.run)
        self._ended.set()
