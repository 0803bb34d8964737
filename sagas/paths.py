"""Paths to the fields of a dispatch in a saga's payload, read as lodash's `get` reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from carillon.messages.model import JsonValue

_NAME: Final = re.compile(
    r"""[^.\[\]]+|\[(?:(-?\d+(?:\.\d+)?)|(["'])((?:(?!\2)[^\\]|\\.)*?)\2)\]"""
    r"""|(?=(?:\.|\[\])(?:\.|\[\]|$))"""
)
"""lodash's own pattern of one step: `name`, `[0]`, `["name"]`, or an empty name between dots."""
_ESCAPED: Final = re.compile(r"\\(\\)?")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,9}")


@dataclass(frozen=True, slots=True)
class Path:
    """A path as it is written, and its steps from the outermost in."""

    text: str
    steps: Sequence[str]

    def find(self, payload: JsonValue) -> JsonValue:
        """The value at the path; None if there is none, or null.

        As in lodash a key of the payload that is spelt like the whole path wins. Only objects and
        lists are entered: JavaScript's `length` and the characters of a text are not found.
        """
        if isinstance(payload, dict) and self.text in payload:
            return payload[self.text]
        found = payload if self.steps else None
        for step in self.steps:
            if isinstance(found, dict):
                found = found.get(step)
            elif isinstance(found, list) and _INDEX.fullmatch(step) and int(step) < len(found):
                found = found[int(step)]
            else:
                return None
        return found


def path(text: str) -> Path:
    """Parses a path: dotted keys, digits or brackets for the items of a list."""
    steps = [""] if text.startswith(".") else []
    for match in _NAME.finditer(text):
        number, quote, quoted = match.groups()
        steps.append(_ESCAPED.sub(r"\1", quoted) if quote else number or match[0])
    return Path(text, tuple(steps))


def find_list(paths: Sequence[Path], payload: JsonValue) -> list[JsonValue] | None:
    """The values at several paths as one list, without nulls; None if there are none.

    Lists are joined; any other value is one item. The result may be one of the payload's own lists:
    it must not be changed.
    """
    parts = [part for one in paths if (part := one.find(payload)) is not None]
    if not parts:
        return None
    lists: list[list[JsonValue]] = [part if isinstance(part, list) else [part] for part in parts]
    joined = lists[0] if len(lists) == 1 else [item for items in lists for item in items]
    return [item for item in joined if item is not None] if None in joined else joined


def once(items: Sequence[JsonValue]) -> list[JsonValue]:
    """The items without texts that duplicate an earlier one."""
    known: set[str] = set()
    kept: list[JsonValue] = []
    for item in items:
        if not isinstance(item, str):
            kept.append(item)
        elif item not in known:
            known.add(item)
            kept.append(item)
    return kept
