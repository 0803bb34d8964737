"""Places in lists as opaque texts, whatever the store."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from carillon.messages.errors import BadCommand
from carillon.messages.model import JsonValue

_MOST_DIGITS: Final = 18


def cursor_of(*place: str | int) -> str:
    """A place in a list as an opaque text."""
    return urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def ids_after(prefix: str) -> str:
    """What is beyond every id that begins with a prefix, as both stores compare."""
    return prefix + "\U0010ffff"


def place_of(cursor: str, beginning: list[JsonValue]) -> list[JsonValue]:
    """The place in such a text; "" is the beginning, whose types it must have.

    Raises:
        BadCommand: it is no cursor.
    """
    if not cursor:
        return beginning
    try:
        place = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        place = None
    if (
        not isinstance(place, list)
        or list(map(type, place)) != list(map(type, beginning))
        or not all(map(_is_storable, place))
    ):
        raise BadCommand("cursor must be the next of an earlier answer")
    return place


def _is_storable(part: JsonValue) -> bool:
    """Whether a store can compare with it: none takes half a letter or more than 64 bits."""
    if isinstance(part, str):
        return part.encode(errors="ignore").decode() == part
    return not isinstance(part, int) or -(2**63) <= part < 2**63


def number_in(cursor: str) -> int | None:
    """The number below which a page begins, in a list whose cursors are numbers.

    None is the newest entry.

    Raises:
        BadCommand: it is no cursor that an answer held.
    """
    if not cursor:
        return None
    if not (cursor.isascii() and cursor.isdigit()) or len(cursor) > _MOST_DIGITS:
        raise BadCommand("cursor must be the next of an earlier answer")
    return int(cursor)
