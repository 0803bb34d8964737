"""Keys that stand twice in one object of a JSON text: parsers take one of them, and do not say so.

Where people write a text by hand that is a mistake, and which value counts is a matter of luck.
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
"""Places that are given of one text; more help nobody."""


_LONGEST: Final = 500


class RepeatedKey(ValueError):
    """A key stands twice in one object; the text names it."""


class _Repeating(dict[str, JsonValue]):
    """An object in whose text some keys stand more than once; the last value counts."""

    repeated: Sequence[str] = ()


def marking_repeated(pairs: list[tuple[str, JsonValue]]) -> Document:
    """An `object_pairs_hook` for `json.loads`, so that `repeated_keys` finds what stands twice."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counts = Counter(key for key, _ in pairs)
    marked = _Repeating(found)
    marked.repeated = tuple(key for key, count in counts.items() if count > 1)
    return marked


def repeated_keys(value: JsonValue) -> list[Place]:
    """Where keys stand twice in a value that was read with `marking_repeated`."""
    found: list[Place] = []
    waiting: list[tuple[Place, JsonValue]] = [((), value)]
    while waiting and len(found) < MOST:
        place, each = waiting.pop()
        if isinstance(each, _Repeating):
            found += [(*place, key) for key in each.repeated]
        waiting += [((*place, step), inner) for step, inner in _members(each)]
    return found[:MOST]


def refuse_repeated(text: str | bytes) -> None:
    """See that in a text that is valid JSON no key stands twice in one object.

    Raises:
        RepeatedKey: one does; where it stands is written as `providers.sms.rate[0].limit`.
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
    """A number is not looked at; one may be too long to be one."""
