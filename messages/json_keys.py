"""Keys repeated in one object of a JSON text: parsers silently take one of the values.

In a text that people write by hand a repeated key is a mistake, and which value counts is luck.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from carillon.messages.model import Document, JsonValue
from carillon.messages.redaction import printable, without_secrets

Place: TypeAlias = tuple[str | int, ...]
"""Keys and list positions from the outermost in."""

MOST: Final = 100
"""Places that are reported for one text; more would not help the reader."""


_LONGEST: Final = 500


class RepeatedKey(ValueError):
    """A key is repeated in one object; the text names it."""


class _Repeating(dict[str, JsonValue]):
    """An object whose text repeats some keys; the last value counts."""

    repeated: Sequence[str] = ()


def marking_repeated(pairs: list[tuple[str, JsonValue]]) -> Document:
    """An `object_pairs_hook` for `json.loads` that lets `repeated_keys` find the repeats."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counts = Counter(key for key, _ in pairs)
    marked = _Repeating(found)
    marked.repeated = tuple(key for key, count in counts.items() if count > 1)
    return marked


def repeated_keys(value: JsonValue) -> list[Place]:
    """The places of repeated keys in a value that was read with `marking_repeated`."""
    found: list[Place] = []
    waiting: list[tuple[Place, JsonValue]] = [((), value)]
    while waiting and len(found) < MOST:
        place, each = waiting.pop()
        if isinstance(each, _Repeating):
            found += [(*place, key) for key in each.repeated]
        waiting += [((*place, step), inner) for step, inner in _members(each)]
    return found[:MOST]


def refuse_repeated(text: str | bytes) -> None:
    """Check that no object in a text of valid JSON repeats a key.

    Raises:
        RepeatedKey: One does; its place is written as `providers.sms.rate[0].limit`.
    """
    value: JsonValue = json.loads(
        text, object_pairs_hook=marking_repeated, parse_int=_nothing, parse_float=_nothing
    )
    for place in repeated_keys(value):
        where = printable(without_secrets(written(place))[:_LONGEST])
        raise RepeatedKey(f"{where} stands there twice; once is allowed")


def written(place: Place) -> str:
    """A place as people write it: `channels.sms.providers[0].weight`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return text.removeprefix(".")


def _members(value: JsonValue) -> Iterator[tuple[str | int, JsonValue]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _nothing(_: str) -> None:
    """Ignore a number: a long one could not be parsed."""
