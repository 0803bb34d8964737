"""Messages handed to a provider that reports later what became of them, as a Protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from carillon.messages.model import Channel


@dataclass(frozen=True, slots=True)
class Handover:
    """A message that is about to be handed over, and where its delivery is recorded."""

    delivery_id: str
    dispatch_id: str
    channel: Channel
    provider: str
    key: str = field(repr=False)
    user_id: str = field(repr=False)


class Handovers(Protocol):
    """What was handed over, durable. Every method raises JournalUnavailable."""

    async def add(self, handover: Handover) -> None:
        """Keep a handover before its message leaves. One that exists stays as it is."""
        ...

    async def find(self, delivery_id: str) -> Handover | None:
        """What was handed over for a delivery."""
        ...

    async def retire(self, before: int) -> bool:
        """Erase some handovers from before a time; returns whether there are more.

        Times are milliseconds since 1970.
        """
        ...
