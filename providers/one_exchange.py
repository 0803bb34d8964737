"""What adapters have in common whose call is one HTTP exchange, as most are."""

from __future__ import annotations

from abc import ABC, abstractmethod

from carillon.http_client.ports import Started, Wire
from carillon.messages.model import Attempt, Delivery
from carillon.providers.ports import Exchange
from carillon.providers.responses import exchanged, unreached


class OneExchange(ABC):
    """Implements `SingleExchange` and `Reachable`; an adapter says what `exchange` is.

    `url` is an address of the service, which connections are tried at; `service` is the name that
    people know.
    """

    def __init__(self, wire: Wire, url: str, service: str) -> None:
        self.wire = wire
        self._url = url
        self._service = service

    @abstractmethod
    def exchange(self, delivery: Delivery) -> Exchange:
        """See `SingleExchange`."""

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        """Make the exchange."""
        return await exchanged(self.wire, self.exchange(delivery), delivery, started)

    def serialize_by(self, delivery: Delivery) -> str | None:
        """Any deliveries may be under way at once."""
        return None

    async def reach(self) -> str | None:
        """See `Reachable`."""
        return unreached(await self.wire.reach(self._url), self._service)

    async def aclose(self) -> None:
        """Close every connection."""
        await self.wire.aclose()
