"""One channel: how it is kept alive, and what it is doing at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from carillon.messages.model import Channel

if TYPE_CHECKING:
    from carillon.actors.router import Route


from collections import deque

import trio

ChannelState = Literal["running", "quarantined"]
WorkerState = Literal["idle", "working", "restarting"]


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """How one channel is kept alive; times are in seconds.

    More than `max_restarts` crashes within `window` quarantine it (Erlang's restart intensity and
    period); after each crash its worker waits between `first_delay` and `max_delay`. A worker that
    holds a message `margin` longer than its call's timeout is stuck and replaced.
    """

    name: Channel
    route: Route
    capacity: int = 2000
    parking: int = 1000
    max_restarts: int = 10
    window: float = 60.0
    max_crashes: int = 2
    first_delay: float = 0.1
    max_delay: float = 5.0
    margin: float = 5.0


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker: what it holds, at which provider, for how many seconds."""

    number: int
    state: WorkerState
    delivery_id: str | None = None
    provider: str | None = None
    held_for: float | None = None
    stuck: bool = False


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """One channel: `restarts` in all, `recent_restarts` within the last `window` seconds.

    `depth` counts every message that waits, `parked` those that wait for their next attempt.
    """

    state: ChannelState
    depth: int
    capacity: int
    parked: int
    restarts: int
    recent_restarts: int
    max_restarts: int
    window: float
    workers: Sequence[WorkerStatus]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many deliveries wait for a provider, and for how many seconds the oldest has."""

    deliveries: int = 0
    oldest: float = 0.0


class RestartIntensity:
    """Crashes within the last `window` seconds; more than `most` of them are too many."""

    def __init__(self, most: int, window: float) -> None:
        self.total = 0
        self._most = most
        self._window = window
        self._times: deque[float] = deque()

    def add(self) -> None:
        """One happened now."""
        self.total += 1
        self._times.append(trio.current_time())

    def forgive(self) -> None:
        """Begin anew."""
        self._times.clear()

    @property
    def recent(self) -> int:
        """How many there were within the window."""
        oldest = trio.current_time() - self._window
        while self._times and self._times[0] < oldest:
            self._times.popleft()
        return len(self._times)

    @property
    def too_many(self) -> bool:
        """Whether there were more than is tolerated."""
        return self.recent > self._most
