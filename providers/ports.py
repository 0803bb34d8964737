"""What a provider's adapter offers a guard, and what it needs from a wire."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from carillon.http_client.ports import Reply, Request, Started, Wire
from carillon.messages.model import Attempt, Delivery
from carillon.messages.record import record


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


ReadReply = Callable[[Reply, Delivery], Attempt]
"""Turns what came of an exchange into an attempt, for the delivery that it was for."""


@record(frozen=True, slots=True)
class Exchange:
    """The one HTTP exchange that a call is: what is sent, and how its answer is read."""

    request: Request
    read: ReadReply


@runtime_checkable
class SingleExchange(Provider, Protocol):
    """A provider whose calls are one HTTP exchange each, as a rule.

    Its calls are made without a task for each where nothing has to be waited for; `send` does the
    same wherever something has.
    """

    @property
    def wire(self) -> Wire:
        """Over which the exchange goes."""
        ...

    def exchange(self, delivery: Delivery) -> Exchange | None:
        """The exchange for a delivery; None when the call needs more, such as a token first.

        What raises is a bug.
        """
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
