"""What a JSON text from outside may hold, and what of it is kept as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from carillon.messages.errors import BadCommand

MOST_VALUES: Final = 100_000
"""JSON values that one text holds at most, by default."""
MOST_LEVELS: Final = 200
"""The parser's own bound, except that the parser lets an empty container one level deeper pass."""


class TooManyValues(BadCommand):
    """The text holds more values than are allowed."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a text may hold.

    `values` counts each text, number, literal, list and object, but not the items of a list of
    texts under one of the names `lists`: these are kept as `StringList`. A list of objects under
    one of the names `documents` is kept as `DocumentList`, and an object under the name `kept` as
    `JsonText`. All are names in the outermost object, or in the object that it has under the name
    `inside`. A short text is parsed whole all the same. Dangerous keys (`__proto__`) are refused
    unless `any_key` is set; with `unique_keys` a short text must not repeat a key in an object
    either. It is nested at most `levels` deep.
    """

    values: int = MOST_VALUES
    lists: frozenset[str] = frozenset()
    kept: str | None = None
    inside: str | None = None
    documents: frozenset[str] = frozenset()
    levels: int = MOST_LEVELS
    any_key: bool = False
    unique_keys: bool = False
