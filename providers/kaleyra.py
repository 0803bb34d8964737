"""Kaleyra: calls are `POST /v1/{SID}/voice/outbound`, SMS `POST /v1/{SID}/messages`; both forms.

Contract: Kaleyra's APIs as far as they are public (contracts 2.2). What `target` holds for text to
speech is not documented, so it is a template of the operator's; nor is a table of error codes, so
answers are taken by the common rules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import quote

from pydantic import Field

from carillon.http_client.ports import Headers, Reply, Request, Wire
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
from carillon.providers.encoding import FORM_HEADERS, form_body
from carillon.providers.one_exchange import OneExchange
from carillon.providers.ports import Exchange, Provider
from carillon.providers.responses import attempt
from carillon.providers.values import SecretToken, Token, Url, secret_token, token

SERVICE: Final = "kaleyra"
TARGET: Final = "{text}"
"""The default of `target`: the words alone."""


class KaleyraCredentials(Credentials):
    """An account of Kaleyra."""

    api_key: SecretToken = needed(
        Secret(""),
        Variable("KALEYRA_API_KEY", "the key for calls and SMS", secret_token, secret=True),
        description="The API key.",
    )
    sid: Token = needed(
        "",
        Variable("KALEYRA_SID", "the account for calls and SMS", token, secret=True),
        Variable("KALEYRA_API_SID", "the same under its other name", token, True, True),
        description="The account's SID.",
    )


class KaleyraOptions(Options):
    """What Kaleyra is sent besides number and sender."""

    sender: str = Field(
        default="",
        description="From whom SMS are, in place of `sender.sms`: a sender id that is registered.",
    )
    message_type: Literal["TXN", "OTP", "MKT"] = Field(
        default="TXN",
        description="The kind of SMS: transactional, a one-time password, or marketing.",
    )
    message_fields: dict[str, str] = Field(
        default_factory=dict,
        description='Further form fields of an SMS, such as `{"template_id": "1"}`.',
        repr=False,
        json_schema_extra={"writeOnly": True},
    )
    target: str = Field(
        default=TARGET,
        pattern=r"\{(text|jsonText)\}",
        description="The form field `target`; `{text}` in it is the message, `{jsonText}` the same "
        "inside a JSON string.",
        json_schema_extra={"examples": [TARGET]},
    )
    fields: dict[str, str] = Field(
        default_factory=dict,
        description='Further form fields of a call, such as `{"retry": "1"}`.',
        repr=False,
        json_schema_extra={"writeOnly": True},
    )


class KaleyraConfig(HttpProviderConfig):
    """Kaleyra's calls and SMS."""

    facts = Facts(channels=("sms", "voice"), only_named=("sms",))

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
            self.options,
        )


class Kaleyra(OneExchange):
    """Orders one call or one SMS a call. `url` is the base without `/v1`.

    Accepted means ordered: whether it arrives or is answered is not known.
    """

    def __init__(
        self, url: str, sid: str, api_key: str, wire: Wire, options: KaleyraOptions | None = None
    ) -> None:
        if not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("the Kaleyra API key holds a character that no header can")
        account = f"/v1/{quote(sid, safe='')}"
        self._calls = below(url, f"{account}/voice/outbound")
        super().__init__(wire, self._calls, SERVICE)
        self._messages = below(url, f"{account}/messages")
        self._api_key = api_key
        self._headers: Headers = {**FORM_HEADERS, "api-key": api_key}
        self._options = options or KaleyraOptions()

    def exchange(self, delivery: Delivery) -> Exchange:
        """See `SingleExchange`."""
        url, form = self.request(delivery)
        return Exchange(Request(url, self._headers, form_body(form)), self._read)

    def _read(self, reply: Reply, delivery: Delivery) -> Attempt:
        return attempt(
            reply, SERVICE, delivery, explain=_explain, identify=_id, secrets=(self._api_key,)
        )

    def request(self, delivery: Delivery) -> tuple[str, Mapping[str, str]]:
        """Where a delivery is posted, and its form; fields of the operator's replace none of ours.

        In `target` `{text}` becomes the words and `{jsonText}` the same as the inside of a JSON
        string, for targets that are JSON; all else stays as it is.
        """
        content, options = delivery.content, self._options
        if not isinstance(content, TextContent):
            raise TypeError("Kaleyra carries texts only")
        if delivery.channel == "sms":
            return self._messages, options.message_fields | {
                "to": delivery.address,
                "sender": options.sender or delivery.sender,
                "type": options.message_type,
                "body": content.text,
            }
        return self._calls, options.fields | {
            "to": delivery.address,
            "bridge": delivery.sender,
            "target": _filled(options.target, content.text),
        }


def _filled(template: str, text: str) -> str:
    """The template with the words in place, in one pass: words that say `{text}` are words."""
    json_text = json.dumps(text, ensure_ascii=False)[1:-1]
    parts = template.split("{text}")
    return text.join(part.replace("{jsonText}", json_text) for part in parts)


def _id(body: Document) -> JsonValue:
    """Of a call; of an SMS that to its only recipient, which its reports name."""
    data = body.get("data")
    of_recipient = data[0] if isinstance(data, list) and data else None
    named = of_recipient.get("message_id") if isinstance(of_recipient, dict) else None
    return body.get("id") if named is None else named


def _explain(body: Document) -> JsonValue:
    """`{"error": {"to": "invalid number"}}` as `to: invalid number`; else `message`."""
    error = body.get("error")
    if isinstance(error, dict) and error:
        return ", ".join(f"{name}: {text}" for name, text in error.items())
    return body.get("message")
