"""Windows of calls as people write them, in the file and on the command line: `100/1m,10/1s`."""

from __future__ import annotations

import re
from typing import Final

from carillon.messages import durations
from carillon.messages.model import JsonValue

MOST_CALLS: Final = 10_000_000
"""That may arrive in any window."""
NONE: Final = "none"
"""The text for no window at all."""
WINDOW: Final = re.compile(r"([0-9]{1,12})/([0-9.]+[a-z]+)")
"""Calls and time."""
_ALLOWED: Final = (
    f'LIMIT/TIME, as in "100/1m", of 1 to {MOST_CALLS:,} calls and a time such as "30s"'
)


def window(value: object) -> object:
    """A window that is written as a text as the object that it stands for; others as they are.

    Raises:
        ValueError: With what is allowed.
    """
    return _window(value) if isinstance(value, str) else value


def windows(value: object) -> object:
    """The same of a text of several windows with commas between, or `none`.

    Raises:
        ValueError: With what is allowed.
    """
    if not isinstance(value, str):
        return value
    if value.strip() == NONE:
        return []
    try:
        return [_window(part) for part in value.split(",")]
    except ValueError:
        raise ValueError(
            f"{_ALLOWED}; several with commas between, {NONE}, or a list of windows"
        ) from None


def in_full(value: JsonValue) -> JsonValue:
    """Valid windows, however they are written, as a list of objects."""
    listed = windows(value)
    return [_object(one) for one in listed] if isinstance(listed, list) else value


def _object(value: JsonValue) -> JsonValue:
    return _window(value) if isinstance(value, str) else value


def _window(text: str) -> JsonValue:
    found = WINDOW.fullmatch(text.strip())
    if found is None or not 1 <= int(found[1]) <= MOST_CALLS:
        raise ValueError(_ALLOWED)
    try:
        durations.some_seconds(found[2])
    except ValueError:
        raise ValueError(_ALLOWED) from None
    return {"limit": int(found[1]), "per": found[2]}
