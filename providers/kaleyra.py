"""Kaleyra's outbound calls: `POST /v1/{SID}/voice/outbound`, a form, with the header `api-key`.

Contract: Kaleyra's outbound calling API as far as it is public (contracts 2.2). What `target`
holds for text to speech is not documented, so it is a template of the operator's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import quote, urlencode

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
    Options,
    Variable,
    needed,
    of_type,
)
from carillon.providers.ports import Provider
from carillon.providers.responses import attempt, unreached
from carillon.providers.values import SecretToken, Token, Url, secret_token, token

SERVICE: Final = "kaleyra"
TARGET: Final = "{text}"
"""The default of `target`: the words alone."""


class KaleyraCredentials(Credentials):
    """An account of Kaleyra."""

    api_key: SecretToken = needed(
        Secret(""),
        Variable("KALEYRA_API_KEY", "the key for voice calls", secret_token, secret=True),
        description="The API key.",
    )
    sid: Token = needed(
        "",
        Variable("KALEYRA_SID", "the account for voice calls", token, secret=True),
        Variable("KALEYRA_API_SID", "the same under its other name", token, True, True),
        description="The account's SID.",
    )


class KaleyraOptions(Options):
    """What Kaleyra is sent besides number and sender."""

    target: str = Field(
        default=TARGET,
        pattern=r"\{(text|jsonText)\}",
        description="The form field `target`; `{text}` in it is the message, `{jsonText}` the same "
        "inside a JSON string.",
        json_schema_extra={"examples": [TARGET]},
    )
    fields: dict[str, str] = Field(
        default_factory=dict,
        description='Further form fields, such as `{"retry": "1"}`.',
        repr=False,
        json_schema_extra={"writeOnly": True},
    )


class KaleyraConfig(HttpProviderConfig):
    """Kaleyra's outbound calls."""

    facts = Facts(channels=("voice",))

    type: Literal["kaleyra"] = of_type("kaleyra")
    url: Url = needed(
        "",
        Variable("KALEYRA_API_BASE_URL", "Kaleyra's address, without /v1", endpoint_url),
        description="Base; `/v1/…` is added.",
    )
    credentials: KaleyraCredentials = Field(default_factory=KaleyraCredentials)
    options: KaleyraOptions = Field(default_factory=KaleyraOptions)

    def build(self, context: BuildContext) -> Provider:
        """See `ProviderConfig`."""
        return Kaleyra(
            self.url,
            self.credentials.sid,
            self.credentials.api_key.reveal(),
            context.wire,
            target=self.options.target,
            fields=self.options.fields,
        )


class Kaleyra:
    """Makes one call a call. `url` is the base without `/v1`, such as `https://api.kaleyra.io`.

    `target` is a template in which `{text}` becomes the words and `{jsonText}` the same as the
    inside of a JSON string, for targets that are JSON; all else stays as it is. `fields` go with
    every call: `retry` (0 to 2), `language`, `timeout`, `dlrurl` … and never replace ours.
    """

    def __init__(
        self,
        url: str,
        sid: str,
        api_key: str,
        wire: Wire,
        *,
        target: str = TARGET,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        if not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("the Kaleyra API key holds a character that no header can")
        self._url = below(url, f"/v1/{quote(sid, safe='')}/voice/outbound")
        self._headers = {
            "content-type": "application/x-www-form-urlencoded",
            "api-key": api_key,
        }
        self._wire = wire
        self._target = target
        self._fields = dict(fields or {})

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        """Order one call. Accepted means ordered: what the called person does is not known."""
        content = delivery.content
        if not isinstance(content, TextContent):
            raise TypeError("Kaleyra carries spoken texts only")
        form = self._fields | {
            "to": delivery.address,
            "bridge": delivery.sender,
            "target": _filled(self._target, content.text),
        }
        body = urlencode(form, errors="replace").encode()
        reply = await self._wire.exchange("POST", self._url, self._headers, body, started)
        return attempt(reply, SERVICE, delivery, explain=_explain, identify=_id)

    def serialize_by(self, delivery: Delivery) -> str | None:
        """Any deliveries may be under way at once."""
        return None

    async def reach(self) -> str | None:
        """See `Reachable`."""
        return unreached(await self._wire.reach(self._url), SERVICE)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._wire.aclose()


def _filled(template: str, text: str) -> str:
    """The template with the words in place, in one pass: words that say `{text}` are words."""
    json_text = json.dumps(text, ensure_ascii=False)[1:-1]
    parts = template.split("{text}")
    return text.join(part.replace("{jsonText}", json_text) for part in parts)


def _id(body: Document) -> JsonValue:
    return body.get("id")


def _explain(body: Document) -> JsonValue:
    """`{"error": {"to": "invalid number"}}` as `to: invalid number`; else `message`."""
    error = body.get("error")
    if isinstance(error, dict) and error:
        return ", ".join(f"{name}: {text}" for name, text in error.items())
    return body.get("message")
