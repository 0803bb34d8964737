"""A webhook of somebody's own: `POST` of a JSON object with number and text."""

from __future__ import annotations

from typing import Final, Literal

from carillon.http_client.ports import Started, Wire
from carillon.messages.model import Attempt, Delivery, TextContent
from carillon.providers.config import BuildContext, Facts, HttpProviderConfig, of_type
from carillon.providers.encoding import JSON_HEADERS, json_body
from carillon.providers.ports import Provider
from carillon.providers.responses import attempt, unreached

SERVICE: Final = "webhook"


class WebhookConfig(HttpProviderConfig):
    """A webhook of somebody's own."""

    facts = Facts(channels=("sms",))

    type: Literal["webhook"] = of_type("webhook")

    def build(self, context: BuildContext) -> Provider:
        """See `ProviderConfig`."""
        return Webhook(self.url, context.wire)


class Webhook:
    """Posts one text a call to `url`."""

    def __init__(self, url: str, wire: Wire) -> None:
        self._url = url
        self._wire = wire

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        """Hand one text over."""
        if not isinstance(delivery.content, TextContent):
            raise TypeError("the webhook carries texts only")
        body = json_body({"to": delivery.address, "text": delivery.content.text})
        reply = await self._wire.exchange("POST", self._url, JSON_HEADERS, body, started)
        return attempt(reply, SERVICE, delivery)

    def serialize_by(self, delivery: Delivery) -> str | None:
        """Any deliveries may be under way at once."""
        return None

    async def reach(self) -> str | None:
        """See `Reachable`."""
        return unreached(await self._wire.reach(self._url), SERVICE)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._wire.aclose()
