"""The API keys of `API_KEYS` and `API_KEYS_FILE`: JSON records in, keys out, and back again.

Both hold an array of records `{"id", "scopes", "salt", "sha256"}`, each with `expiresAt` or
without. No message shows a value: somebody may have put a secret in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from carillon.access.keys import (
    HASH_BYTES,
    ID,
    MOST_WEIGHT,
    NOBODY,
    SALT_BYTES,
    SCOPES,
    ApiKey,
    Scope,
)
from carillon.messages.json_keys import Place
from carillon.messages.model import Document, JsonValue
from carillon.settings.environment import Environment
from carillon.settings.errors import Problems
from carillon.settings.file.opening import read_start
from carillon.settings.file.reading import LARGEST_FILE, REPEATED, parse
from carillon.settings.model import AccessSettings
from carillon.settings.operator_token import token_place

_FIELDS: Final = ("id", "scopes", "salt", "sha256", "expiresAt", "weight")
_ALLOWED: Final = "records as `carillon keys new` prints them"

T = TypeVar("T")
Placed = tuple[Place, ApiKey]


def access(env: Environment) -> AccessSettings:
    """The keys of both variables together, and where the token is that stands in for them."""
    placed: list[Placed] = []
    for name, content in _sources(env):
        found = _records(content, name, env.problems)
        if not found and not env.problems.knows((name,)):
            # To go on would open what somebody believes is locked.
            env.problems.add((name,), "holds no key; unset it to have none asked for")
        placed += found
    file = env.text("API_KEYS_FILE")
    return AccessSettings(
        _unique(placed, env.problems), None if file is None else Path(file), token_place(env)
    )


def parse_keys(content: bytes, name: str) -> tuple[ApiKey, ...]:
    """The keys of an array of records, which may be empty; `name` says where it stands.

    Raises:
        ConfigurationError: With everything that is wrong.
    """
    problems = Problems()
    keys = _unique(_records(content, name, problems), problems)
    if problems:
        raise problems.error()
    return keys


def key_record(key: ApiKey) -> Document:
    """What is stored of a key."""
    stored: Document = {
        "id": key.id,
        "scopes": [*key.sorted_scopes],
        "salt": key.salt.hex(),
        "sha256": key.hash.hex(),
    }
    if key.expires_at is not None:
        expiry = datetime.fromtimestamp(key.expires_at, UTC)
        stored["expiresAt"] = expiry.isoformat().replace("+00:00", "Z")
    if key.weight != 1:
        stored["weight"] = key.weight
    return stored


def parse_key_id(text: object) -> str:
    """An id that a key may have. Raises ValueError with what is allowed."""
    if not isinstance(text, str) or not ID.fullmatch(text) or text in NOBODY:
        raise ValueError(
            f"1 to 32 letters, digits, `_` and `-`, and neither {' nor '.join(NOBODY)}"
        )
    return text


def parse_expiry(text: object) -> float:
    """A time in ISO 8601 as seconds since 1970. Raises ValueError with what is allowed."""
    try:
        time = datetime.fromisoformat(text if isinstance(text, str) else "")
        seconds = time.timestamp() if time.tzinfo else None
    except (ValueError, OverflowError):
        seconds = None
    if seconds is None:
        raise ValueError('a time in ISO 8601 with its zone, such as "2030-01-31T12:00:00Z"')
    return seconds


def _sources(env: Environment) -> Iterator[tuple[str, bytes]]:
    text, file = env.text("API_KEYS"), env.text("API_KEYS_FILE")
    if text is not None:
        yield "API_KEYS", text.encode("utf-8", "surrogatepass")
    if file is None:
        return
    try:
        yield "API_KEYS_FILE", read_start(Path(file), LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        env.problems.add(("API_KEYS_FILE",), f"must name a file that can be read ({reason})")


def _records(content: bytes, name: str, problems: Problems) -> list[Placed]:
    try:
        entries, repeated = parse(content)
    except ValueError as error:
        problems.add((name,), f"must be a JSON array of {_ALLOWED} ({error})")
        return []
    for place in repeated:
        problems.add((name, *place), REPEATED)
    if not isinstance(entries, list):
        problems.add((name,), f"must be a JSON array of {_ALLOWED}")
        return []
    placed = [((name, at), _key(entry, (name, at), problems)) for at, entry in enumerate(entries)]
    return [(place, key) for place, key in placed if key is not None]


def _key(entry: JsonValue, place: Place, problems: Problems) -> ApiKey | None:
    if not isinstance(entry, dict) or not entry.keys() <= {*_FIELDS}:
        problems.add(place, f"must be an object with {', '.join(_FIELDS)} and nothing else")
        return None

    def read(name: str, convert: Callable[[object], T]) -> T | None:
        try:
            return convert(entry.get(name))
        except ValueError as error:
            problems.add((*place, name), f"must be {error}")
            return None

    name, scopes = read("id", parse_key_id), read("scopes", _scopes)
    salt, digest = read("salt", _hexadecimal(SALT_BYTES)), read("sha256", _hexadecimal(HASH_BYTES))
    expires_at = read("expiresAt", parse_expiry) if "expiresAt" in entry else None
    weight = read("weight", _weight) if "weight" in entry else 1
    if name is None or scopes is None or salt is None or digest is None or weight is None:
        return None
    return ApiKey(name, scopes, salt, digest, expires_at, weight)


def _weight(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_WEIGHT:
        raise ValueError(f"a whole number from 1 to {MOST_WEIGHT}")
    return value


def _scopes(value: object) -> frozenset[Scope]:
    listed = value if isinstance(value, list) else []
    scopes = frozenset(scope for scope in SCOPES if scope in listed)
    if not scopes or any(item not in SCOPES for item in listed):
        raise ValueError(f"a list of at least one of {', '.join(SCOPES)}")
    return scopes


def _hexadecimal(size: int) -> Callable[[object], bytes]:
    def convert(text: object) -> bytes:
        try:
            value = bytes.fromhex(text) if isinstance(text, str) else b""
        except ValueError:
            value = b""
        if len(value) != size:
            raise ValueError(f"{2 * size} hexadecimal digits")
        return value

    return convert


def _unique(placed: Iterable[Placed], problems: Problems) -> tuple[ApiKey, ...]:
    found: dict[str, ApiKey] = {}
    for place, key in placed:
        if key.id in found:
            problems.add((*place, "id"), f"another key has the id {key.id} already")
        found[key.id] = key
    return tuple(found.values())
