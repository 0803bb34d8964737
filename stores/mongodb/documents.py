"""Documents of MongoDB as JSON, and the texts that ids are known by as what may be stored."""

from __future__ import annotations

import math
import re
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, TypeAlias

from bson import ObjectId
from bson.binary import UUID_SUBTYPE, Binary

from carillon.messages.model import Document, JsonValue

Id: TypeAlias = str | ObjectId | int | float
"""What a `_id` may be; documents with any other are not seen."""

_OBJECT_ID: Final = re.compile(r"[0-9a-fA-F]{24}")
_PLAIN_OBJECT_ID: Final = re.compile(r"[0-9a-f]{24}")
_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_MARKS: Final = frozenset("=#")
_UUID_BYTES: Final = 16
_EXACT: Final = 2**53
_LARGEST: Final = 2**63 - 1


def as_document(stored: Mapping[str, object]) -> Document:
    """A document as the CRUD Service would give it: ids and dates are texts."""
    return {name: _as_json(value) for name, value in stored.items()}


def _as_json(value: object) -> JsonValue:
    match value:
        case None | bool() | str():
            return value
        case float():
            return _number(value)
        case list():
            return [_as_json(item) for item in value]
        case Mapping():
            return {str(name): _as_json(item) for name, item in value.items()}
    return _scalar(value)


def _scalar(value: object) -> JsonValue:
    match value:
        case int():
            return int(value)  # an Int64 is one, too
        case datetime():
            text = value.astimezone(UTC).isoformat(timespec="milliseconds")
            return text.replace("+00:00", "Z")
        case Binary() if value.subtype == UUID_SUBTYPE and len(value) == _UUID_BYTES:
            return str(value.as_uuid())
        case bytes():
            return b64encode(value).decode()
    return str(value)


def _number(value: float) -> JsonValue:
    # JSON has no NaN; and the Mongo shell stores 7 as 7.0, which is not what was meant.
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def known_by(text: str) -> list[str | ObjectId | int]:
    """Everything that a field may hold for which this text asks; nothing for a lone surrogate."""
    if not is_storable(text):
        return []
    known: list[str | ObjectId | int] = [text]
    if _OBJECT_ID.fullmatch(text):
        known.append(ObjectId(text))
    if _WHOLE.fullmatch(text) and abs(int(text)) <= _LARGEST:
        known.append(int(text))
    return known


def is_storable(text: str) -> bool:
    """Whether MongoDB can hold a text: every one but those with lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def new_id(text: str) -> str | ObjectId:
    """What a document that is imported with this `_id` gets, and is known by the same text."""
    return ObjectId(text) if _PLAIN_OBJECT_ID.fullmatch(text) else text


def place(value: object) -> str:
    """A `_id` as a text from which `after` goes on: as a rule the text that it is known by.

    So a walk that another directory began over the same users goes on here.
    """
    if isinstance(value, ObjectId):
        return str(value)
    if not isinstance(value, str):
        return f"#{value}"
    return f"={value}" if value[:1] in _MARKS or _PLAIN_OBJECT_ID.fullmatch(value) else value


def from_place(text: str) -> Id:
    """The `_id` that `place` made a text of."""
    if _PLAIN_OBJECT_ID.fullmatch(text):
        return ObjectId(text)
    if text.startswith("="):
        return text[1:]
    if text.startswith("#"):
        with suppress(ValueError):
            return int(text[1:]) if _WHOLE.fullmatch(text[1:]) else float(text[1:])
    return text


_LOWEST: Final[tuple[Id, ...]] = (-math.inf, "", ObjectId(b"\0" * 12))


def ranges_after(after: str | None) -> list[dict[str, Id]]:
    """Conditions on `_id` that together hold for all that follow, in the order they are to be read.

    A comparison only finds values of its own kind, and kinds are sorted in this order.
    """
    if after is None:
        return [{"$gte": lowest} for lowest in _LOWEST]
    value = from_place(after)
    kind = 1 if isinstance(value, str) else 2 if isinstance(value, ObjectId) else 0
    return [{"$gt": value}, *({"$gte": lowest} for lowest in _LOWEST[kind + 1 :])]
