"""Where the keys of AWS come from: the section or the environment, a file, or a container's agent.

Contract: the chain of credentials that AWS's own SDKs have, in its order, without roles that are
assumed. What a container's agent gives ends, and is renewed before it does.
"""

from __future__ import annotations

import configparser
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol

import trio

from carillon.http_client.ports import NotAnswered, NotSent, Reply, Wire, no_start
from carillon.messages.model import Cause, Document, Postponed, Unavailable
from carillon.providers.config import ReadFile
from carillon.providers.responses import answered, document, unsent
from carillon.providers.ses.signature import AwsKeys

EARLY_SECONDS: Final = 300.0
"""Keys are renewed this long before they end, or after half of a shorter life."""
AGAIN_SECONDS: Final = 5.0
"""The agent is asked again so long after it has given nothing."""
LARGEST_FILE: Final = 1 << 20
_NO_KEYS: Final = "ses: no credentials"

NoKeys = Unavailable | Postponed


def utc_now() -> datetime:
    """The default clock."""
    return datetime.now(UTC)


class KeySource(Protocol):
    """Gives the keys that hold now."""

    async def get(self) -> AwsKeys | NoKeys:
        """Keys, or why there are none. No limit counts what it takes to get them."""
        ...

    def refuse(self, keys: AwsKeys) -> None:
        """AWS did not take these: look for others."""
        ...


class FixedKeys:
    """Keys that were written down where only a restart reads them again."""

    def __init__(self, keys: AwsKeys) -> None:
        self._keys = keys

    async def get(self) -> AwsKeys:
        """See `KeySource`."""
        return self._keys

    def refuse(self, keys: AwsKeys) -> None:
        """Nothing: there are no others."""


class FileKeys:
    """Keys of a profile in a shared credentials file, read again when AWS refuses them."""

    def __init__(self, read: ReadFile, file: Path, profile: str) -> None:
        self._read = read
        self._file = file
        self._profile = profile
        self._keys: AwsKeys | None = None

    async def get(self) -> AwsKeys | NoKeys:
        """See `KeySource`."""
        if self._keys is None:
            try:
                self._keys = keys_in(self._read, self._file, self._profile)
            except ValueError as error:
                return Unavailable(f"{_NO_KEYS}: {error}")
        return self._keys

    def refuse(self, keys: AwsKeys) -> None:
        """See `KeySource`."""
        if keys is self._keys:
            self._keys = None


def keys_in(read: ReadFile, file: Path, profile: str) -> AwsKeys:
    """The keys of a profile. Raises ValueError, which names the file and shows no value."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(read(file, LARGEST_FILE).decode("utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror or 'it cannot be read'}") from None
    except (ValueError, configparser.Error):
        raise ValueError(f"{file} is no credentials file of AWS") from None
    if not parser.has_section(profile):
        raise ValueError(f"{file} has no profile [{profile}]")
    found = parser[profile]
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    values = [found.get(name, "").strip() for name in names]
    for name, value in zip(names, values, strict=True):
        if not (value.isascii() and value.isprintable()) or not (value or name == names[2]):
            raise ValueError(f"{file}: [{profile}] has no {name}")
    access_key, secret, token = values
    return AwsKeys(access_key, secret, token)


def token_in(read: ReadFile, file: Path) -> str:
    """What a container's agent wants to see. Raises ValueError, which names the file."""
    try:
        text = read(file, LARGEST_FILE).decode("ascii").strip()
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror or 'it cannot be read'}") from None
    except ValueError:
        text = ""
    if not (text and text.isprintable()):
        raise ValueError(f"{file} holds no token")
    return text


class ContainerKeys:
    """Keys that the agent of a container gives, fetched once however many workers want them.

    `authorization` is read for each fetch: the agent of EKS changes it.
    """

    def __init__(
        self,
        url: str,
        authorization: Callable[[], str],
        wire: Wire,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._url = url
        self._authorization = authorization
        self._wire = wire
        self._now = now
        self._lock = trio.Lock()
        self._keys: AwsKeys | None = None
        self._failure: tuple[float, NoKeys] | None = None

    async def get(self) -> AwsKeys | NoKeys:
        """See `KeySource`."""
        keys = self._keys
        if keys is not None and trio.current_time() < keys.renew_at:
            return keys
        async with self._lock:
            keys, now = self._keys, trio.current_time()
            if keys is not None and now < keys.renew_at:
                return keys
            if self._failure is not None and now < self._failure[0]:
                return self._failure[1]
            return await self._renew()

    def refuse(self, keys: AwsKeys) -> None:
        """See `KeySource`."""
        if keys is self._keys:
            self._keys = None

    async def _renew(self) -> AwsKeys | NoKeys:
        fetched = await self._fetch()
        if isinstance(fetched, AwsKeys):
            self._keys, self._failure = fetched, None
        else:
            self._failure = (trio.current_time() + AGAIN_SECONDS, fetched)
        return fetched

    async def _fetch(self) -> AwsKeys | NoKeys:
        try:
            authorization = self._authorization()
        except ValueError as error:
            return Unavailable(f"{_NO_KEYS}: {error}")
        headers = {"authorization": authorization} if authorization else {}
        reply = await self._wire.exchange("GET", self._url, headers, b"", no_start)
        return self._keys_of(reply)

    def _keys_of(self, reply: Reply) -> AwsKeys | NoKeys:
        if isinstance(reply, NotSent):
            return unsent(reply, _NO_KEYS)
        if isinstance(reply, NotAnswered):
            return Unavailable(f"{_NO_KEYS}: {reply.error}", cause=Cause(reply.kind))
        if reply.status != HTTPStatus.OK:
            error = f"{_NO_KEYS}: the container's agent answered {reply.status}"
            return Unavailable(error, cause=answered(reply.status))
        found = document(reply.body)
        keys = [found.get(name) for name in ("AccessKeyId", "SecretAccessKey", "Token")]
        ends = _seconds_left(found, self._now())
        texts = [one for one in keys if isinstance(one, str) and one.isascii()]
        if len(texts) != len(keys) or not all(one.isprintable() and one for one in texts):
            error = f"{_NO_KEYS}: the container's agent gave none"
            return Unavailable(error, cause=Cause("garbage", reply.status))
        early = min(EARLY_SECONDS, ends / 2)
        access_key, secret, token = texts
        return AwsKeys(access_key, secret, token, trio.current_time() + ends - early)


def _seconds_left(found: Document, now: datetime) -> float:
    """Until the keys end; two calls' worth where that is not told."""
    text = found.get("Expiration")
    try:
        ends = datetime.fromisoformat(text) if isinstance(text, str) else now
    except ValueError:
        ends = now
    if ends.tzinfo is None:
        ends = ends.replace(tzinfo=UTC)
    return max((ends - now).total_seconds(), 2 * AGAIN_SECONDS)
