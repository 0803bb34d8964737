"""The way of deliveries into the channels' inboxes, as a Protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from carillon.messages.envelope import Envelope
from carillon.messages.model import Channel


class ChannelQueues(Protocol):
    """The way into the channels' inboxes."""

    async def wait_for_capacity(
        self, channel: Channel, dispatch_id: str, until: float, caller: str = ""
    ) -> int:
        """Wait until a channel has room for a caller's dispatch; returns for how many deliveries.

        Returns by `until` (trio's clock), room or no room; a closed channel has room at once.
        """
        ...

    def queued(self, channel: Channel, dispatch_id: str) -> int:
        """How many deliveries of a dispatch wait in a channel to be sent for the first time."""
        ...

    def put(self, channel: Channel, envelopes: Sequence[Envelope]) -> None:
        """Hand over deliveries of one dispatch. A closed channel drops them: they stay pending."""
        ...

    def cancel(self, dispatch_id: str) -> None:
        """Cancel every delivery of a dispatch that has no open call."""
        ...

    def disown(self, dispatch_id: str) -> None:
        """Do and report nothing more for a dispatch: another process has taken it over."""
        ...
