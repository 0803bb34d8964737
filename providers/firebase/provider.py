"""Firebase Cloud Messaging HTTP v1: one call a message, with a service account's token.

Contract: FCM HTTP v1 (contracts 2.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from pydantic import Field

from carillon.http_client.ports import Reply, Request, Response, Started, Wire
from carillon.http_client.urls import below
from carillon.messages.model import (
    Accepted,
    Attempt,
    Cause,
    Delivery,
    Document,
    JsonValue,
    Postponed,
    PushContent,
    Refused,
    Unanswered,
    Unavailable,
)
from carillon.providers.config import (
    BuildContext,
    Credentials,
    DocumentedRate,
    Facts,
    HttpProviderConfig,
    ReadFile,
    Variable,
    needed,
    of_type,
)
from carillon.providers.encoding import json_body
from carillon.providers.firebase.message import fcm_message
from carillon.providers.firebase.token import (
    TOKEN_URI,
    GoogleToken,
    ServiceAccount,
    Token,
    read_service_account,
)
from carillon.providers.ports import Exchange, Provider
from carillon.providers.responses import (
    answered,
    attempt,
    document,
    exchanged,
    retry_after,
    unreached,
)
from carillon.providers.values import FilePath, Url

SERVICE: Final = "firebase"
URL: Final = "https://fcm.googleapis.com"
QUOTA_PAUSE: Final = 60.0
"""Seconds to wait over quota when the answer has no `Retry-After`; Google's published advice."""

PERMANENT: Final = {
    "UNREGISTERED": "the device token is no longer registered: remove it from the user",
    "SENDER_ID_MISMATCH": "the device token belongs to another Firebase project",
    "THIRD_PARTY_AUTH_ERROR": "Apple's or the web push key of the Firebase project is not valid",
    "APNS_AUTH_ERROR": "Apple's key of the Firebase project is not valid",
}
OF_TOKEN: Final = frozenset({"UNREGISTERED", "SENDER_ID_MISMATCH"})
"""What is wrong with one device, and not with the project."""
TRANSIENT: Final = frozenset({"UNAVAILABLE", "INTERNAL"})
_LARGEST: Final = 1 << 20
"""Bytes of a service account's file."""


class FirebaseCredentials(Credentials):
    """Where the key file of a service account stands."""

    file: FilePath = needed(
        Path(),
        Variable("GOOGLE_APPLICATION_CREDENTIALS", "the service account file for Firebase", Path),
        description="Path of the service account's key file.",
    )


class FirebaseConfig(HttpProviderConfig):
    """Firebase Cloud Messaging, HTTP v1."""

    facts = Facts(
        channels=("push",),
        on_unknown_outcome="retry",
        documented=DocumentedRate(600_000, "1m", "Firebase accepts 600,000 a minute per project"),
    )

    type: Literal["firebase"] = of_type("firebase")
    url: Url = Field(default=URL, description="Base; `/v1/…` is added.", repr=False)
    credentials: FirebaseCredentials = Field(default_factory=FirebaseCredentials)

    def build(self, context: BuildContext) -> Provider:
        """See `ProviderConfig`."""
        account = self._account(context.read)
        action = context.android_intent_action
        return Firebase(account, context.wire, url=self.url, click_action=action)

    def check(self, read: ReadFile) -> None:
        """See that there is an account in the file."""
        self._account(read)

    def addresses(self, read: ReadFile) -> Mapping[str, str]:
        """Firebase itself, and where Google gives tokens."""
        try:
            tokens = self._account(read).token_uri
        except ValueError:
            tokens = TOKEN_URI
        return {"url": self.url, "credentials.file": tokens}

    def _account(self, read: ReadFile) -> ServiceAccount:
        """Raises ValueError."""
        file = self.credentials.file
        try:
            return read_service_account(read(file, _LARGEST))
        except OSError as error:
            reason = error.strerror or "it cannot be read"
        except ValueError as error:
            reason = str(error)
        raise ValueError(f"credentials.file {file}: {reason}")


class Firebase:
    """Sends one notification a call. `url` is the base without `/v1`.

    `click_action` is the reference's `androidIntentAction`; empty, it is left out. Tokens are
    fetched over `token_wire`, which is the same wire unless another is given.
    """

    def __init__(
        self,
        account: ServiceAccount,
        wire: Wire,
        *,
        url: str = URL,
        click_action: str = "",
        token_wire: Wire | None = None,
    ) -> None:
        project = quote(account.project_id, safe="")
        self._url = below(url, f"/v1/projects/{project}/messages:send")
        self.wire = wire
        self._token_wire = token_wire or wire
        self._tokens = GoogleToken(account, self._token_wire)
        self._click_action = click_action

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        """Hand one notification over, after a token was had, which is not counted as a start.

        A refused token is renewed by the next attempt and not within this one, so that no call
        goes uncounted by the limits.
        """
        exchange = self.exchange(delivery)
        if exchange is None:
            token = await self._tokens.get()
            if not isinstance(token, Token):
                return token
            exchange = self._with_token(delivery, token)
        return await exchanged(self.wire, exchange, delivery, started)

    def exchange(self, delivery: Delivery) -> Exchange | None:
        """See `SingleExchange`; None while a token is to be fetched."""
        token = self._tokens.at_hand()
        return None if token is None else self._with_token(delivery, token)

    def _with_token(self, delivery: Delivery, token: Token) -> Exchange:
        content = delivery.content
        if not isinstance(content, PushContent):
            raise TypeError("Firebase carries push notifications only")
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {token.value}",
        }
        message = fcm_message(delivery, content, self._click_action)
        request = Request(self._url, headers, json_body(message))
        return Exchange(request, partial(self._read, token=token))

    def serialize_by(self, delivery: Delivery) -> str | None:
        """Any deliveries may be under way at once."""
        return None

    async def reach(self) -> str | None:
        """See `Reachable`."""
        return unreached(await self.wire.reach(self._url), SERVICE)

    async def aclose(self) -> None:
        """Close every connection."""
        await self.wire.aclose()
        await self._token_wire.aclose()

    def _read(self, reply: Reply, delivery: Delivery, token: Token) -> Attempt:
        general = attempt(reply, SERVICE, delivery, _explain, _name, (token.value,))
        if isinstance(general, Accepted):
            self._tokens.accept(token)
            return general
        return self._failed(reply, general, token) if isinstance(reply, Response) else general

    def _failed(
        self,
        reply: Response,
        general: Refused | Unavailable | Unanswered | Postponed,
        token: Token,
    ) -> Attempt:
        code = _code(reply)
        cause = answered(reply.status, of_message=code in OF_TOKEN)
        if code in PERMANENT:
            return Refused(f"firebase: {PERMANENT[code]} ({code})", cause=cause)
        if code == "QUOTA_EXCEEDED" or reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            after = retry_after(reply)
            pause = QUOTA_PAUSE if after is None else after
            return Unavailable(general.error, pause, throttled=True, cause=cause)
        if code in TRANSIENT and isinstance(general, Refused):
            return Unavailable(general.error, cause=cause)
        if reply.status == HTTPStatus.UNAUTHORIZED:
            return self._unauthenticated(token, cause)
        return general

    def _unauthenticated(self, token: Token, cause: Cause) -> Attempt:
        if self._tokens.refuse(token):
            error = "firebase: the access token was refused and is renewed"
            return Unavailable(error, cause=cause)
        return Refused(
            "firebase: a new access token was refused too: check the rights of the service "
            "account in the credentials file (`client_email`, `project_id`)",
            cause=cause,
        )


def _error(body: Document) -> Document:
    error = body.get("error")
    return error if isinstance(error, dict) else {}


def _explain(body: Document) -> JsonValue:
    return _error(body).get("message")


def _name(body: Document) -> JsonValue:
    return body.get("name")


def _code(reply: Response) -> str:
    """FCM's own `errorCode` when there is one, else Google's general `status`."""
    error = _error(document(reply.body))
    details = error.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and isinstance(detail.get("errorCode"), str):
            return str(detail["errorCode"])
    status = error.get("status")
    return status if isinstance(status, str) else ""
