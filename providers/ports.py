"""What a provider's adapter offers a guard, and what it needs from a wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from carillon.http_client.ports import Started
from carillon.messages.model import Attempt, Delivery


class Provider(Protocol):
    """One outside service that carries deliveries of a channel."""

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        """Make one attempt. Expected failures are values; what raises is a bug.

        `started` is called directly before bytes that could make the provider act leave; a call
        that prepares (a token, a look-up) does not count. Cancelling is safe at every await.
        """
        ...

    def serialize_by(self, delivery: Delivery) -> str | None:
        """What deliveries share that must not be under way at once; None where any may be."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


@runtime_checkable
class Reachable(Protocol):
    """What a provider is besides, when there is something to connect to."""

    async def reach(self) -> str | None:
        """Connect, ask for nothing, and close; why that cannot be done, or None.

        The caller bounds the time.
        """
        ...


@dataclass(frozen=True, slots=True)
class ProposedRates:
    """What an account allows, as windows: calls, and seconds. Or `why` that is not known."""

    windows: Sequence[tuple[int, float]] = ()
    why: str = ""


@runtime_checkable
class Proposing(Protocol):
    """What a provider is besides, when its service tells what the account may do."""

    async def proposed_rates(self) -> ProposedRates:
        """Ask for it. The caller bounds the time."""
        ...
