"""Pigeon Post: SMS in one JSON call, with a key in a header."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from carillon.http_client.ports import Reply, Request, Wire
from carillon.http_client.urls import below, endpoint_url
from carillon.messages.model import Attempt, Delivery, Document, JsonValue, TextContent
from carillon.messages.secret import Secret
from carillon.providers.config import (
    BuildContext,
    Credentials,
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
from carillon.providers.values import SecretToken, Url, secret_token

SERVICE: Final = "pigeon"


class PigeonCredentials(Credentials):
    """An account of Pigeon Post."""

    key: SecretToken = needed(
        Secret(""),
        Variable("PIGEON_KEY", "the key of Pigeon Post", secret_token, secret=True),
        description="The API key.",
    )


class PigeonConfig(HttpProviderConfig):
    """Pigeon Post."""

    facts = Facts(channels=("sms",))

    type: Literal["pigeon"] = of_type("pigeon")
    url: Url = needed(
        "",
        Variable("PIGEON_URL", "Pigeon Post's address", endpoint_url),
        description="Base; `/messages` is added.",
    )
    credentials: PigeonCredentials = Field(default_factory=PigeonCredentials)

    def build(self, context: BuildContext) -> Provider:
        """See `ProviderConfig`."""
        return Pigeon(self.url, self.credentials.key, context.wire)


class Pigeon(OneExchange):
    """Hands one text over a call."""

    def __init__(self, url: str, key: Secret, wire: Wire) -> None:
        super().__init__(wire, below(url, "/messages"), SERVICE)
        self._secrets = (key.reveal(),)
        self._headers = {**JSON_HEADERS, "x-pigeon-key": key.reveal()}

    def exchange(self, delivery: Delivery) -> Exchange:
        """The request for an SMS, and how its answer is read."""
        if not isinstance(delivery.content, TextContent):
            raise TypeError("Pigeon Post carries texts only")
        body = json_body({"to": delivery.address, "text": delivery.content.text})
        return Exchange(Request(self._url, self._headers, body), self._read)

    def _read(self, reply: Reply, delivery: Delivery) -> Attempt:
        return attempt(reply, SERVICE, delivery, identify=_id, secrets=self._secrets)


def _id(body: Document) -> JsonValue:
    return body.get("id")
