"""One access token of a Google service account for all workers, renewed before it ends.

Contract: OAuth 2.0 for service accounts (contracts 2.3, RFC 7523): an RS256 assertion is
exchanged for a token at the `token_uri` of the credentials file.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import trio

from carillon.http_client.ports import NotAnswered, NotSent, Reply, Wire, no_start
from carillon.messages.json_keys import marking_repeated, repeated_keys, written
from carillon.messages.model import Cause, JsonValue, Postponed, Refused, Unavailable
from carillon.providers.encoding import FORM_HEADERS, form_body
from carillon.providers.responses import answered, document, unsent

_TYPE: Final = "service_account"
GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
ASSERTION_SECONDS: Final = 3600
EARLY_SECONDS: Final = 300.0
"""A token is renewed this long before it ends, or after half of a shorter life."""
AGAIN_SECONDS: Final = 30.0
"""How long a token that still holds is used on after its renewal failed."""


NoToken = Refused | Unavailable | Postponed


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """The keys of a service-account file that are used."""

    project_id: str
    client_email: str
    private_key: str = field(repr=False)
    private_key_id: str = ""
    token_uri: str = TOKEN_URI


def read_service_account(content: bytes) -> ServiceAccount:
    """The account in a credentials file; a `ValueError` says what is wrong and shows no value."""
    try:
        values: JsonValue = json.loads(
            content.decode("utf-8-sig"), object_pairs_hook=marking_repeated
        )
    except (ValueError, RecursionError):
        found = "a PEM and not JSON" if b"-----BEGIN" in content else "not JSON"
        raise ValueError(
            f"the credentials file is {found}; it must be the JSON file that Google gives for a "
            "service account"
        ) from None
    for place in repeated_keys(values):
        raise ValueError(f"`{written(place)}` stands twice in the credentials file")
    keys = values if isinstance(values, dict) else {}
    if keys.get("type", _TYPE) != _TYPE:
        raise ValueError(f"`type` in the credentials file must be `{_TYPE}`")

    def value(key: str, default: str = "") -> str:
        found = keys.get(key, default)
        if not isinstance(found, str) or not (found or key == "private_key_id"):
            raise ValueError(f"the credentials file has no `{key}`, or it is not a string")
        return found

    account = ServiceAccount(
        project_id=value("project_id"),
        client_email=value("client_email"),
        private_key=value("private_key"),
        private_key_id=value("private_key_id"),
        token_uri=value("token_uri", TOKEN_URI),
    )
    if not re.fullmatch(r"https?://[^\s@]+", account.token_uri):
        raise ValueError("`token_uri` in the credentials file is no http:// or https:// URL")
    _sign(account, {})
    return account


def _sign(account: ServiceAccount, claims: dict[str, str | int]) -> str:
    """An assertion of the account. Raises ValueError when its key cannot sign one."""
    import jwt  # noqa: PLC0415 - takes 50 ms, and only push by Firebase needs it

    headers = {"kid": account.private_key_id} if account.private_key_id else None
    try:
        return jwt.encode(claims, account.private_key, algorithm="RS256", headers=headers)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        raise ValueError("`private_key` in the credentials file is not an RSA key") from None


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token; times are on trio's clock. `again` marks one that replaced a refused one."""

    value: str = field(repr=False)
    renew_at: float
    ends_at: float
    again: bool


class GoogleToken:
    """Gives the current token, fetching it at most once at a time however many workers ask."""

    def __init__(
        self, account: ServiceAccount, wire: Wire, now: Callable[[], float] = time.time
    ) -> None:
        self._account = account
        self._wire = wire
        self._now = now
        self._lock = trio.Lock()
        self._token: Token | None = None
        self._refused = False
        self._failure: tuple[float, NoToken] | None = None

    def at_hand(self) -> Token | None:
        """A token that holds, if no call is to be made for one."""
        now, token = trio.current_time(), self._token
        if token is not None and (
            now < token.renew_at or (now < token.ends_at and self._lock.locked())
        ):
            return token
        return None

    async def get(self) -> Token | NoToken:
        """A token that holds, or why there is none. No limit counts the call that fetches it."""
        asked = trio.current_time()
        token = self.at_hand()
        if token is not None:
            return token
        async with self._lock:
            if self._token is not None and trio.current_time() < self._token.renew_at:
                return self._token
            if self._failure is not None and self._failure[0] >= asked:
                return self._failure[1]  # of the fetch that this worker has waited for
            return await self._renew()

    def refuse(self, token: Token) -> bool:
        """The provider did not take this token; whether another one may help.

        A token that already replaced a refused one is kept: what is wrong is not its age.
        """
        if self._token is not token:
            return True
        if token.again:
            return False
        self._token, self._refused = None, True
        return True

    def accept(self, token: Token) -> None:
        """The provider took this token: if it is refused later, it is worth renewing."""
        if token.again and self._token is token:
            self._token = Token(token.value, token.renew_at, token.ends_at, again=False)

    async def _renew(self) -> Token | NoToken:
        fetched = await self._fetch()
        if isinstance(fetched, Token):
            self._token, self._refused, self._failure = fetched, False, None
            return fetched
        ended, old = trio.current_time(), self._token
        self._failure = (ended, fetched)
        if old is None or old.ends_at <= ended:
            return fetched
        self._token = Token(old.value, ended + AGAIN_SECONDS, old.ends_at, old.again)
        return self._token

    async def _fetch(self) -> Token | NoToken:
        assertion = self._assertion()
        if isinstance(assertion, Refused):
            return assertion
        body = form_body({"grant_type": GRANT, "assertion": assertion})
        uri = self._account.token_uri
        asked = trio.current_time()
        reply = await self._wire.exchange("POST", uri, FORM_HEADERS, body, no_start)
        return self._token_of(reply, asked)

    def _assertion(self) -> str | Refused:
        account, now = self._account, int(self._now())
        claims: dict[str, str | int] = {
            "iss": account.client_email,
            "scope": SCOPE,
            "aud": account.token_uri,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
        }
        try:
            return _sign(account, claims)
        except ValueError as error:
            return Refused(f"firebase: {error}")

    def _token_of(self, reply: Reply, asked: float) -> Token | NoToken:
        if isinstance(reply, NotSent):
            return unsent(reply, "firebase: no access token")
        if isinstance(reply, NotAnswered):
            return Unavailable(f"firebase: no access token: {reply.error}", cause=Cause(reply.kind))
        status, answer = reply.status, document(reply.body)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in (408, 425, 429):
            error = f"firebase: no access token: Google answered {status}"
            return Unavailable(error, cause=answered(status))
        if status != HTTPStatus.OK:
            return Refused(_complaint(status, answer.get("error")), cause=answered(status))
        value, lives = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
            error = "firebase: no access token: Google's answer holds none"
            return Unavailable(error, cause=Cause("garbage", status))
        seconds = float(lives) if isinstance(lives, int | float) else float(ASSERTION_SECONDS)
        early = min(EARLY_SECONDS, seconds / 2)
        return Token(value, asked + seconds - early, asked + seconds, again=self._refused)


def _complaint(status: int, code: JsonValue) -> str:
    """Names the keys to look at, never what they hold: Google's own text may quote the account."""
    known = isinstance(code, str) and re.fullmatch(r"[a-z_]{1,40}", code)
    said = f"{status}, {code}" if known else str(status)
    return (
        f"firebase: Google refused the service account ({said}): check `client_email`, "
        "`private_key` and `token_uri` in the credentials file"
    )
