"""How one channel of a dispatch is fed."""

from __future__ import annotations

from dataclasses import dataclass

from carillon.dispatches.feed import Feed
from carillon.dispatches.recovery import PendingReader


@dataclass(frozen=True, slots=True)
class ChannelFeed:
    """How one channel of a dispatch is fed: leftovers first, then the rest of the audience.

    There are leftovers only if it `is_resumed`.
    """

    feed: Feed
    left: PendingReader
    is_resumed: bool = False
