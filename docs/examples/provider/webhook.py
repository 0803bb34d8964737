"""A webhook of somebody's own: `POST` of a JSON object with number and text."""

from __future__ import annotations

from typing import Final, Literal

from carillon.http_client.ports import Reply, Request, Wire
from carillon.messages.model import Attempt, Delivery, TextContent
from carillon.providers.config import BuildContext, Facts, HttpProviderConfig, of_type
from carillon.providers.encoding import JSON_HEADERS, json_body
from carillon.providers.one_exchange import OneExchange
from carillon.providers.ports import Exchange, Provider
from carillon.providers.responses import attempt

SERVICE: Final = "webhook"


class WebhookConfig(HttpProviderConfig):
    """A webhook of somebody's own."""

    facts = Facts(channels=("sms",))

    type: Literal["webhook"] = of_type("webhook")

    def build(self, context: BuildContext) -> Provider:
        """See `ProviderConfig`."""
        return Webhook(self.url, context.wire)


class Webhook(OneExchange):
    """Posts one text a call to `url`."""

    def __init__(self, url: str, wire: Wire) -> None:
        super().__init__(wire, url, SERVICE)

    def exchange(self, delivery: Delivery) -> Exchange:
        """The request for a text, and how its answer is read."""
        if not isinstance(delivery.content, TextContent):
            raise TypeError("the webhook carries texts only")
        body = json_body({"to": delivery.address, "text": delivery.content.text})
        return Exchange(Request(self._url, JSON_HEADERS, body), _read)


def _read(reply: Reply, delivery: Delivery) -> Attempt:
    return attempt(reply, SERVICE, delivery)
