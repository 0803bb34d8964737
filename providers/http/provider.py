"""Carries deliveries over any HTTP API: one function makes a request, one reads the answer."""

from __future__ import annotations

import trio

from carillon.handlebars import TakesLong
from carillon.http_client import ports
from carillon.http_client.ports import Started, Wire
from carillon.messages.model import Attempt, Delivery, Refused
from carillon.providers.http.answer import AnswerReader
from carillon.providers.http.request import Request, RequestTemplate
from carillon.providers.http.templates import Unfit
from carillon.providers.ports import Exchange
from carillon.providers.privacy import scrubbed
from carillon.providers.responses import exchanged, unreached


class HttpProvider:
    """One call a delivery. `name` is that of its section, which people know."""

    def __init__(
        self, name: str, template: RequestTemplate, reader: AnswerReader, wire: Wire
    ) -> None:
        self._name = name
        self._template = template
        self._reader = reader
        self.wire = wire

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        """Make one call; what the answer means is for the section to say."""
        try:
            request = await self._request(delivery)
        except Unfit as unfit:
            why = scrubbed(str(unfit), delivery)
            return Refused(f"{self._name} cannot carry this message: {why}", "not-renderable")
        return await exchanged(self.wire, self._exchange(request), delivery, started)

    def exchange(self, delivery: Delivery) -> Exchange | None:
        """See `SingleExchange`; None for what takes long to make, or cannot be made."""
        try:
            return self._exchange(self._template.request(delivery, short=True))
        except (TakesLong, Unfit):
            return None

    def _exchange(self, made: Request) -> Exchange:
        request = ports.Request(made.url, made.headers, made.body, made.method)
        return Exchange(request, self._reader.attempt)

    async def _request(self, delivery: Delivery) -> Request:
        """The request; what takes long is made in a thread. Raises Unfit."""
        try:
            return self._template.request(delivery, short=True)
        except TakesLong:
            make = self._template.request
            return await trio.to_thread.run_sync(lambda: make(delivery, short=False))

    def serialize_by(self, delivery: Delivery) -> str | None:
        """Any deliveries may be under way at once."""
        return None

    async def reach(self) -> str | None:
        """See `Reachable`."""
        return unreached(await self.wire.reach(self._template.origin), self._name)

    async def aclose(self) -> None:
        """Close every connection."""
        await self.wire.aclose()
