"""The SMS service of Mia-Platform: `POST /send`, never two calls to one number at once.

Contract: SMS Service 1.2 (contracts 1.3).
"""

from __future__ import annotations

from typing import Final, Literal

from carillon.http_client.ports import Reply, Request, Wire
from carillon.http_client.urls import below, endpoint_url, service_endpoint
from carillon.messages.model import Attempt, Delivery, Document, JsonValue, TextContent
from carillon.providers.config import (
    BuildContext,
    DocumentedRate,
    Facts,
    HttpProviderConfig,
    Variable,
    needed,
    of_type,
)
from carillon.providers.encoding import JSON_HEADERS, json_body
from carillon.providers.one_exchange import OneExchange
from carillon.providers.ports import Exchange, Provider
from carillon.providers.responses import attempt
from carillon.providers.values import Url

SERVICE: Final = "sms-service"


class SmsServiceConfig(HttpProviderConfig):
    """The SMS service of Mia-Platform."""

    facts = Facts(
        channels=("sms",),
        documented=DocumentedRate(
            100,
            "1m",
            "the Mia SMS service accepts 100 a minute by default (RATE_LIMIT_MAX_REQUESTS)",
        ),
    )

    type: Literal["sms-service"] = of_type("sms-service")
    url: Url = needed(
        "",
        Variable("SMS_SERVICE_NAME", "the SMS service", service_endpoint),
        Variable("SMS_SERVICE_URL", "the same as a URL; wins over the name", endpoint_url),
        description="Base; `/send` is added.",
    )

    def build(self, context: BuildContext) -> Provider:
        """See `ProviderConfig`."""
        return SmsService(self.url, context.wire)


class SmsService(OneExchange):
    """Sends one SMS a call. `url` is the base without `/send`; it may have a path and a query.

    The service holds consecutive requests to one number open, longer each time. Sent side by
    side they would all take slots while they wait for one another, so here they take turns.
    """

    def __init__(self, url: str, wire: Wire) -> None:
        super().__init__(wire, below(url, "/send"), SERVICE)

    def exchange(self, delivery: Delivery) -> Exchange:
        """See `SingleExchange`."""
        content = delivery.content
        if not isinstance(content, TextContent):
            raise TypeError("the SMS service carries texts only")
        fields: Document = {
            "sender": delivery.sender,
            "receiver": delivery.address,
            "body": content.text,
        }
        return Exchange(Request(self._url, JSON_HEADERS, json_body(fields)), _read)

    def serialize_by(self, delivery: Delivery) -> str | None:
        """The number."""
        return delivery.address


def _read(reply: Reply, delivery: Delivery) -> Attempt:
    return attempt(reply, SERVICE, delivery, identify=_sid)


def _sid(body: Document) -> JsonValue:
    return body.get("sid")
