"""Pigeon Post: SMS in one JSON call, with a key in a header."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from carillon.http_client.ports import Started, Wire
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
from carillon.providers.ports import Provider
from carillon.providers.responses import attempt, unreached
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


class Pigeon:
    """Hands one text over a call."""

    def __init__(self, url: str, key: Secret, wire: Wire) -> None:
        self._url = below(url, "/messages")
        self._secrets = (key.reveal(),)
        self._headers = {**JSON_HEADERS, "x-pigeon-key": key.reveal()}
        self._wire = wire

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        """Hand one SMS over."""
        if not isinstance(delivery.content, TextContent):
            raise TypeError("Pigeon Post carries texts only")
        body = json_body({"to": delivery.address, "text": delivery.content.text})
        reply = await self._wire.exchange("POST", self._url, self._headers, body, started)
        return attempt(reply, SERVICE, delivery, identify=_id, secrets=self._secrets)

    def serialize_by(self, delivery: Delivery) -> str | None:
        """Any deliveries may be under way at once."""
        return None

    async def reach(self) -> str | None:
        """See `Reachable`."""
        return unreached(await self._wire.reach(self._url), SERVICE)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._wire.aclose()


def _id(body: Document) -> JsonValue:
    return body.get("id")
