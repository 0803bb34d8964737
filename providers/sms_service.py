"""The SMS service of Mia-Platform: `POST /send`, never two calls to one number at once.

Contract: SMS Service 1.2 (contracts 1.3).
"""

from __future__ import annotations

from typing import Final

from carillon.http_client.ports import Started, Wire
from carillon.messages.model import Attempt, Delivery, Document, JsonValue, TextContent
from carillon.providers.encoding import json_body
from carillon.providers.responses import attempt, unreached

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

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        """Hand one SMS over."""
        content = delivery.content
        if not isinstance(content, TextContent):
            raise TypeError("the SMS service carries texts only")
        fields: Document = {
            "sender": delivery.sender,
            "receiver": delivery.address,
            "body": content.text,
        }
        body = json_body(fields)
        reply = await self._wire.exchange("POST", self._url, JSON_HEADERS, body, started)
        return attempt(reply, SERVICE, delivery, identify=_sid)

    def serialize_by(self, delivery: Delivery) -> str | None:
        """The number."""
        return delivery.address

    async def reach(self) -> str | None:
        """See `Reachable`."""
        return unreached(await self._wire.reach(self._url), SERVICE)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._wire.aclose()


def _sid(body: Document) -> JsonValue:
    return body.get("sid")
