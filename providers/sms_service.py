"""The SMS service of Mia-Platform: `POST /send`, never two calls to one number at once.

Contract: SMS Service 1.2 (contracts 1.3).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from messages.model import Attempt, Delivery, Document, JsonValue, TextContent
from providers.answers import attempt
from providers.ports import Started, Wire

SERVICE: Final = "sms-service"
JSON_HEADERS: Final = {"content-type": "application/json"}


class SmsService:
    """Sends one SMS a call. `url` is the base without `/send`; it may have a path.

    The service holds consecutive requests to one number open, longer each time. Sent side by
    side they would all take slots while they wait for one another, so here they take turns.
    """

    def __init__(self, url: str, wire: Wire) -> None:
        self._url = url.rstrip("/") + "/send"
        self._wire = wire
        self._turns: dict[str, trio.Lock] = {}

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        """Hand one SMS over. The wait for a call to the same number comes before the start."""
        content = delivery.content
        if not isinstance(content, TextContent):
            raise TypeError("the SMS service carries texts only")
        fields: Document = {
            "sender": delivery.sender,
            "receiver": delivery.address,
            "body": content.text,
        }
        body = json.dumps(fields, separators=(",", ":")).encode()
        async with self._turn(delivery.address):
            reply = await self._wire.exchange("POST", self._url, JSON_HEADERS, body, started)
        return attempt(reply, SERVICE, delivery, identify=_sid)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._wire.aclose()

    @property
    def waiting_numbers(self) -> int:
        """To how many numbers a call is open; what is kept in memory is no more than these."""
        return len(self._turns)

    @asynccontextmanager
    async def _turn(self, number: str) -> AsyncIterator[None]:
        lock = self._turns.setdefault(number, trio.Lock())
        try:
            async with lock:
                yield
        finally:
            # Released with others waiting it is theirs already. The last one takes it away, and
            # one that was cancelled while waiting must not take away a later lock of that name.
            if not lock.locked() and self._turns.get(number) is lock:
                del self._turns[number]


def _sid(body: Document) -> JsonValue:
    return body.get("sid")
