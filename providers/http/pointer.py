"""JSON Pointers (RFC 6901): where something stands in an answer."""

from __future__ import annotations

import re
from typing import Final

from carillon.messages.model import JsonValue

_POINTER: Final = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,9}")

Pointer = tuple[str, ...]
"""The steps from the outermost in; none of them leads to the whole document."""


def parsed(text: object) -> Pointer:
    """The steps of a pointer as people write it.

    Raises:
        ValueError: With what is allowed.
    """
    if not isinstance(text, str) or not _POINTER.fullmatch(text):
        raise ValueError('a JSON Pointer such as "/messages/0/id"')
    steps = text.split("/")[1:]
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)


def at(value: JsonValue, pointer: Pointer) -> JsonValue:
    """What stands there; None where nothing does, or null."""
    for step in pointer:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and _INDEX.fullmatch(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value
