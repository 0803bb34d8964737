"""What is durable behind its ports, wherever it is kept: the types alone."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from carillon.actors.channel import ChannelStatus
from carillon.actors.provider.guard import Guard
from carillon.dispatches.service import DispatchService
from carillon.messages.clock import Sightings
from carillon.messages.model import Channel
from carillon.messages.ports.directory import Directory
from carillon.messages.ports.handovers import Handovers
from carillon.messages.ports.journal import Journal
from carillon.messages.ports.outbox import Outbox
from carillon.messages.ports.records import PastCalls, Pauses, Records, Recovery
from carillon.messages.ports.work_sharing import CallerRotation, SharedQueue
from carillon.settings import Settings
from carillon.stores.ports import Editing, LiveSettings

Retire = Callable[[int], Awaitable[bool]]
"""Erases a part of what ended before a time, in milliseconds since 1970; whether more is left.

Raises JournalUnavailable.
"""

Channels = Callable[[], Mapping[Channel, ChannelStatus]]
"""Every channel at this moment."""


class Cluster(Protocol):
    """What a service does as one of several replicas; the `pool` is what they offer each other."""

    @property
    def pool(self) -> SharedQueue:
        """What replicas offer each other."""
        ...

    def directory(self, settings: Settings) -> Directory:
        """Where users and templates are read from when there is no CRUD Service."""
        ...

    def editing(self, settings: Settings) -> Editing:
        """Access to the same users and templates in order to change them."""
        ...

    def share(self, guards: Mapping[str, Guard]) -> None:
        """Let the guards start nothing but on a share of their limits."""
        ...

    async def attend(
        self,
        dispatcher: DispatchService,
        channels: Channels,
        turns: CallerRotation,
        logger: logging.Logger,
    ) -> None:
        """Until cancelled, show that this replica lives, and take up what others left or offer.

        Callers take `turns` over all replicas.
        """
        ...


async def _never_paused() -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Storage:
    """Everything durable behind its ports.

    With a `company` there are other replicas; without one `calls` and `pauses` are those of the
    process before this one.
    `why_paused` says why nothing may be sent until an operator lets the store go on; it raises
    JournalUnavailable. `notes` are sentences for the log.
    """

    name: str
    journal: Journal
    records: Records
    recovery: Recovery
    live_settings: LiveSettings
    outbox: Outbox
    handovers: Handovers
    sightings: Sightings
    retire: Sequence[Retire]
    calls: PastCalls | None = None
    pauses: Pauses | None = None
    cluster: Cluster | None = None
    why_paused: Callable[[], Awaitable[str | None]] = _never_paused
    notes: Sequence[str] = ()
