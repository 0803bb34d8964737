"""`Idempotency-Key`: a request that is repeated meets the dispatch that the first one began.

After draft-ietf-httpapi-idempotency-key-header-06. Only accepted dispatches are remembered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from typing import Final

from carillon.messages.clock import ago
from carillon.messages.errors import BadCommand, Conflict, KeyReused
from carillon.messages.json_digest import write_sorted
from carillon.messages.json_input import JsonText
from carillon.messages.json_list import JsonList
from carillon.messages.ports.journal import IdempotencyKey
from carillon.messages.ports.records import Records

_KEY: Final = re.compile(r'"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x7e]{1,255})')


class Repeats:
    """Knows the keys of the last while; `expiry` is in seconds, `ago` tells when that began."""

    def __init__(self, records: Records, expiry: float, ago: Callable[[float], int] = ago) -> None:
        self._records = records
        self._expiry = expiry
        self._ago = ago
        self._claimed: set[tuple[str, str, str]] = set()

    def is_claimed(self, key: IdempotencyKey) -> bool:
        """Whether somebody uses the key at this moment."""
        return _name(key) in self._claimed

    @contextmanager
    def claimed(self, key: IdempotencyKey) -> Iterator[None]:
        """Hold the key against all other requests meanwhile.

        Raises:
            Conflict: somebody does: the first request with it is not durable yet.
        """
        if self.is_claimed(key):
            raise Conflict("A request with this Idempotency-Key is just being accepted")
        name = _name(key)
        self._claimed.add(name)
        try:
            yield
        finally:
            self._claimed.remove(name)

    def dated(self, key: IdempotencyKey) -> IdempotencyKey:
        """The key with the time after which it stands for nothing any more."""
        return replace(key, expiry=self._expiry)

    async def earlier(self, key: IdempotencyKey) -> str | None:
        """The id of the dispatch that the key stands for.

        Raises:
            KeyReused: it stands for another request.
            JournalUnavailable: the store cannot say.
        """
        since = self._ago(self._expiry)
        found = await self._records.remembered(key.caller, key.route, key.key, since)
        if found is None:
            return None
        if found.fingerprint != key.fingerprint:
            raise KeyReused("This Idempotency-Key came with another request before")
        return found.dispatch_id


def _name(key: IdempotencyKey) -> tuple[str, str, str]:
    return key.caller, key.route, key.key


def idempotency_key(
    shown: Sequence[str],
    caller: str,
    method: str,
    route: str,
    body: object,
    *,
    is_long: bool = False,
) -> IdempotencyKey | None:
    """The key of a request, from the headers of that name; None without one.

    A body that `is_long` is looked through in a thread, off the event loop.
    `route` is the path as it is documented: a slash more is no other request.

    Raises:
        BadCommand: it is no key.
    """
    if not shown:
        return None
    match = _KEY.fullmatch(shown[0].strip(" \t"))
    if match is None or len(shown) > 1:
        raise BadCommand(
            "Idempotency-Key must be one string of 1 to 255 printable ASCII characters, "
            'such as "8e03978e-40d5-43dd-bc93-6894a57f9324"'
        )
    sign = _fingerprint(method, route, body, is_long=is_long)
    return IdempotencyKey(caller, route, match[1] or match[2], sign)


def _fingerprint(method: str, route: str, body: object, *, is_long: bool) -> str:
    """What tells a request from another one, whether parts of it are kept as text or not."""
    digest = sha256(f"{method} {route}\0".encode())
    if not is_long and not (isinstance(body, dict) and any(map(_is_text, body.values()))):
        digest.update(json.dumps(body, sort_keys=True, separators=(",", ":")).encode())
    else:
        write_sorted(body, digest.update)
    return digest.hexdigest()


def _is_text(value: object) -> bool:
    return isinstance(value, JsonText | JsonList)
