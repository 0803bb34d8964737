"""Vonage's SMS API: `POST /sms/json`, a form, answered 200 with a status for each part of an SMS.

Contract: Vonage's SMS API and its table of statuses (contracts 2.6). It knows no idempotency key;
our delivery id goes along as `client-ref`, which its receipts repeat.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Final, Literal

from pydantic import Field

from carillon.http_client.ports import Headers, Reply, Request, Response, Wire
from carillon.http_client.urls import below
from carillon.messages.model import (
    Accepted,
    Attempt,
    Cause,
    Delivery,
    Document,
    JsonValue,
    Refused,
    TextContent,
    Unanswered,
    Unavailable,
)
from carillon.messages.secret import Secret
from carillon.providers.config import (
    BuildContext,
    Credentials,
    DocumentedRate,
    Facts,
    HttpProviderConfig,
    Options,
    Variable,
    needed,
    of_type,
)
from carillon.providers.encoding import FORM_HEADERS, basic_authorization, form_body
from carillon.providers.one_exchange import OneExchange
from carillon.providers.ports import Exchange, Provider
from carillon.providers.privacy import scrubbed
from carillon.providers.responses import (
    LONGEST_PAUSE,
    answered,
    attempt,
    document,
    refused_within,
)
from carillon.providers.sms_alphabet import fits_gsm
from carillon.providers.values import SecretToken, Token, Url, secret_token, token

SERVICE: Final = "vonage"
URL: Final = "https://rest.nexmo.com"

SENT: Final = "0"
THROTTLED: Final = frozenset({"1", "10"})
TRANSIENT: Final = frozenset({"5"})
OF_ACCOUNT: Final = frozenset({"4", "8", "9", "11", "14", "32"})
"""Credentials, credit, or a product that is off: no message passes until somebody mends it."""
_CREDENTIALS: Final = frozenset(
    {HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN}
)
_WAIT: Final = re.compile(r"wait \[ ?([0-9]{1,9}) ?\]")
"""Milliseconds, in the text of a throttled message."""
_STATUS: Final = re.compile(r"[0-9]{1,4}")
_DIGITS: Final = re.compile(r"\+([0-9]+)")


class VonageCredentials(Credentials):
    """An account of Vonage."""

    api_key: Token = needed(
        "",
        Variable("VONAGE_API_KEY", "the account for SMS", token, secret=True),
        description="The account's API key.",
    )
    api_secret: SecretToken = needed(
        Secret(""),
        Variable("VONAGE_API_SECRET", "its secret", secret_token, secret=True),
        description="The secret of the API key.",
    )


class VonageOptions(Options):
    """From whom, and what Vonage is sent besides."""

    sender: str = Field(
        default="",
        description="From whom SMS are, in place of `sender.sms`: a number or a name.",
    )
    fields: dict[str, str] = Field(
        default_factory=dict,
        description='Further form fields, such as `{"ttl": "600000"}`.',
        repr=False,
        json_schema_extra={"writeOnly": True},
    )


class VonageConfig(HttpProviderConfig):
    """Vonage's SMS API."""

    facts = Facts(
        channels=("sms",),
        documented=DocumentedRate(
            30, "1s", "Vonage accepts 30 requests a second of an API key by default"
        ),
    )

    type: Literal["vonage"] = of_type("vonage")
    url: Url = Field(default=URL, description="Base; `/sms/json` is added.", repr=False)
    credentials: VonageCredentials = Field(default_factory=VonageCredentials)
    options: VonageOptions = Field(default_factory=VonageOptions)

    def build(self, context: BuildContext) -> Provider:
        """See `ProviderConfig`."""
        return Vonage(self.credentials, context.wire, url=self.url, options=self.options)


class Vonage(OneExchange):
    """Orders one SMS a call. `url` is the base without `/sms/json`."""

    def __init__(
        self,
        credentials: VonageCredentials,
        wire: Wire,
        *,
        url: str = URL,
        options: VonageOptions | None = None,
    ) -> None:
        super().__init__(wire, below(url, "/sms/json"), SERVICE)
        authorization = basic_authorization(credentials.api_key, credentials.api_secret.reveal())
        self._secrets = (credentials.api_secret.reveal(), authorization.removeprefix("Basic "))
        self._headers: Headers = {**FORM_HEADERS, "authorization": authorization}
        self._options = options or VonageOptions()

    def exchange(self, delivery: Delivery) -> Exchange:
        """See `SingleExchange`."""
        body = form_body(self.request(delivery))
        return Exchange(Request(self._url, self._headers, body), self._read)

    def _read(self, reply: Reply, delivery: Delivery) -> Attempt:
        return read(reply, delivery, self._secrets)

    def request(self, delivery: Delivery) -> Mapping[str, str]:
        """The fields of the form; Vonage wants numbers without their plus."""
        content = delivery.content
        if not isinstance(content, TextContent):
            raise TypeError("Vonage carries texts only")
        return self._options.fields | {
            "from": _bare(self._options.sender or delivery.sender),
            "to": _bare(delivery.address),
            "text": content.text,
            "type": "text" if fits_gsm(content.text) else "unicode",
            "client-ref": delivery.id,
        }


def _bare(number: str) -> str:
    found = _DIGITS.fullmatch(number)
    return number if found is None else found[1]


def read(reply: Reply, delivery: Delivery, secrets: Iterable[str] = ()) -> Attempt:
    """What Vonage's answer means for a delivery: a success says within what was not taken.

    No error shows one of the `secrets`.
    """
    made = attempt(reply, SERVICE, delivery, _explain, _id, secrets)
    if isinstance(made, Accepted) and isinstance(reply, Response):
        return _by_parts(_parts(document(reply.body)), made, reply.status, delivery, secrets)
    if isinstance(made, Refused) and isinstance(reply, Response) and reply.status in _CREDENTIALS:
        return Unavailable(made.error, cause=answered(reply.status))
    return made


def _by_parts(
    parts: Sequence[Document],
    made: Accepted,
    status: int,
    delivery: Delivery,
    secrets: Iterable[str],
) -> Attempt:
    """A success by its parts: an SMS of which some were taken is neither sent nor unsent."""
    found = [part.get("status") for part in parts]
    if not parts or not all(isinstance(one, str) and _STATUS.fullmatch(one) for one in found):
        error = f"{SERVICE} answered {status}, and not what became of the SMS"
        return Unanswered(error, Cause("garbage", status))
    failed = next((part for part in parts if part.get("status") != SENT), None)
    if failed is None:
        return made
    text = failed.get("error-text")
    why = scrubbed(text, delivery, secrets) if isinstance(text, str) else ""
    code = str(failed["status"])
    error = f"{SERVICE}: status {code}" + (f": {why}" if why else "")
    taken = found.count(SENT)
    if taken:
        error = f"{error}; {taken} of {len(parts)} parts were taken"
        return Unanswered(error, refused_within(status))
    return _failed(code, error, status, text)


def _failed(code: str, error: str, status: int, text: JsonValue) -> Refused | Unavailable:
    """By Vonage's own status."""
    if code in THROTTLED:
        wait = _WAIT.search(text) if isinstance(text, str) else None
        seconds = None if wait is None else min(int(wait[1]) / 1000, LONGEST_PAUSE)
        return Unavailable(error, seconds, throttled=True, cause=refused_within(status))
    if code in TRANSIENT:
        return Unavailable(error, cause=Cause("http-5xx", status))
    if code in OF_ACCOUNT:
        return Unavailable(error, cause=refused_within(status))
    return Refused(error, cause=refused_within(status, of_message=True))


def _parts(body: Document) -> Sequence[Document]:
    """One for each part of the SMS; none where the answer is of another shape."""
    messages = body.get("messages")
    parts = messages if isinstance(messages, list) else []
    found = [part for part in parts if isinstance(part, dict)]
    return found if len(found) == len(parts) else []


def _id(body: Document) -> JsonValue:
    """That of the first part."""
    return next((part.get("message-id") for part in _parts(body)), None)


def _explain(body: Document) -> JsonValue:
    """Errors before the SMS API itself are those of RFC 7807."""
    said = (body.get(name) for name in ("detail", "title", "error-code-label"))
    return next((text for text in said if isinstance(text, str)), None)
