"""API keys: their format, drawing a new one, and finding a caller's key in a key ring.

A key is `<id>.<secret>`. The secret is 256 random bits in base64url, which no dictionary attack
finds, so one SHA-256 over salt and secret is enough; a slow hash would only slow down requests.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from carillon.messages.model import Document

Scope = Literal["send", "read", "operate", "directory"]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
SALT_BYTES: Final = 16
MOST_WEIGHT: Final = 1_000_000
HASH_BYTES: Final = 32
ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
NOBODY: Final = ("anonymous", "loopback")
"""What callers without a key are called, so no key may be."""

_SECRET_BYTES: Final = 32
_TOKEN: Final = re.compile(rf"({ID.pattern})\.([A-Za-z0-9_-]{{43}})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The stored record of a key. `expires_at` is in seconds since 1970; None means never.

    Callers share each channel by their `weight`.
    """

    id: str
    scopes: frozenset[Scope]
    salt: bytes = field(repr=False)
    hash: bytes = field(repr=False)
    expires_at: float | None = None
    weight: int = 1

    @property
    def sorted_scopes(self) -> list[Scope]:
        """Its scopes in the order in which they are always listed."""
        return [scope for scope in SCOPES if scope in self.scopes]

    def may(self, scope: Scope) -> bool:
        """Whether it opens routes of this scope: `operate` includes `read`."""
        return scope in self.scopes or (scope == "read" and "operate" in self.scopes)

    def has_expired(self, now: float) -> bool:
        """Whether its time is over at this moment, in seconds since 1970."""
        return self.expires_at is not None and self.expires_at <= now


def draw_key(
    key_id: str | None,
    scopes: Iterable[Scope],
    expires_at: float | None = None,
    weight: int = 1,
) -> tuple[str, ApiKey]:
    """A new key as its owner sends it, and the record to store. Without an id it draws one."""
    key_id = key_id or secrets.token_hex(4)
    secret, salt = secrets.token_urlsafe(_SECRET_BYTES), secrets.token_bytes(SALT_BYTES)
    hashed = salted_hash(salt, secret)
    kept = ApiKey(key_id, frozenset(scopes), salt, hashed, expires_at, weight)
    return f"{key_id}.{secret}", kept


def salted_hash(salt: bytes, secret: str) -> bytes:
    """SHA-256 over the salt and the secret's text."""
    return hashlib.sha256(salt + secret.encode("ascii")).digest()


class KeyRing:
    """The keys that are valid now; may be exchanged while requests come in."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys = _by_id(keys)
        # An unknown id is compared with this one, which no secret opens.
        self._dummy = ApiKey("", frozenset(), bytes(SALT_BYTES), bytes(HASH_BYTES))

    @property
    def is_empty(self) -> bool:
        """Whether no keys are configured, so that none is required."""
        return not self._keys

    @property
    def by_id(self) -> Mapping[str, ApiKey]:
        """All of them, expired ones too."""
        return self._keys

    def replace(self, keys: Iterable[ApiKey]) -> None:
        """Replace all keys, from the next request on.

        Raises:
            ValueError: Two keys have the same id, or there is none: that would open the service.
        """
        replaced = _by_id(keys)
        if self._keys and not replaced:
            raise ValueError("no key is left; a service that began with keys goes on with keys")
        self._keys = replaced

    def weight(self, caller: str) -> int:
        """The weight of a caller; 1 if it has no key, or its key was removed."""
        key = self._keys.get(caller)
        return 1 if key is None else key.weight

    def find(self, token: str) -> ApiKey | None:
        """The key that a caller presents, expired or not; None if there is no such key.

        An unknown id costs the same work as a wrong secret, and no comparison ends early, so that
        timing reveals nothing.
        """
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        known = self._keys.get(match[1])
        key = known or self._dummy
        is_right = hmac.compare_digest(salted_hash(key.salt, match[2]), key.hash)
        return known if is_right else None


def changes_of_keys(
    before: Mapping[str, ApiKey], after: Mapping[str, ApiKey]
) -> tuple[Document, Document]:
    """The audit entry for keys that were added, removed or replaced: never a secret."""
    ids = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    told_before: Document = {f"apiKeys.{name}": _told(before.get(name)) for name in ids}
    told_after: Document = {f"apiKeys.{name}": _told(after.get(name)) for name in ids}
    for name in ids:
        key = f"apiKeys.{name}"
        if told_before[key] == told_after[key]:
            told_after[key] = f"{told_after[key]}, another secret"
    return told_before, told_after


def _told(key: ApiKey | None) -> str | None:
    if key is None:
        return None
    told = " ".join(key.sorted_scopes)
    if key.weight != 1:
        told += f", weight {key.weight}"
    if key.expires_at is None:
        return told
    until = datetime.fromtimestamp(key.expires_at, UTC).isoformat(timespec="seconds")
    return f"{told} until {until.replace('+00:00', 'Z')}"


def _by_id(keys: Iterable[ApiKey]) -> Mapping[str, ApiKey]:
    found: dict[str, ApiKey] = {}
    for key in keys:
        if key.id in found:
            raise ValueError(f"two keys have the id {key.id}")
        found[key.id] = key
    return found
