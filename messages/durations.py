"""Durations as people write them (`500ms`, `30s`, `1m`, `24h`, `30d`), in seconds."""

from __future__ import annotations

import math
import re
from typing import Final

PATTERN: Final = r"^[0-9]{1,9}(\.[0-9]{1,3})?(ms|s|m|h|d)$"
_DURATION: Final = re.compile(PATTERN)
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_WORDS: Final = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
_LONGEST_DAYS: Final = 3650
_MANY: Final = 1e6  # seconds; their milliseconds have more digits than a duration may have
_ALLOWED: Final = 'a duration such as "500ms", "30s", "1m", "24h" or "30d"'


def seconds(value: object) -> float:
    """The seconds of a duration, zero included; `0` needs no unit.

    Raises:
        ValueError: It is not a duration, or longer than ten years; the text says what is allowed.
    """
    if value == "0" or (value == 0 and not isinstance(value, bool)):
        return 0.0
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(_ALLOWED)
    unit = match[2]
    amount = float(match[0].removesuffix(unit)) * _UNITS[unit]
    if amount > _LONGEST_DAYS * _UNITS["d"]:
        raise ValueError(f"{_ALLOWED}, at most {_LONGEST_DAYS}d")
    return amount


def some_seconds(value: object) -> float:
    """The seconds of a duration above zero.

    Raises:
        ValueError: It is not one; the text says what is allowed.
    """
    amount = seconds(value)
    if amount == 0.0:
        raise ValueError(f"{_ALLOWED}, above zero")
    return amount


def unbounded(amount: float) -> float:
    """The same number, with zero as infinity: for timeouts where `0` means no timeout."""
    return amount or math.inf


def written(amount: float) -> str:
    """Seconds as a person would write them: in the largest unit that gives a whole number.

    `seconds` reads it back exact to the microsecond, or to the millisecond from a million seconds
    on.
    """
    for unit in ("d", "h", "m", "s"):
        if amount >= _UNITS[unit] and amount % _UNITS[unit] == 0.0:
            return f"{amount / _UNITS[unit]:.0f}{unit}"
    if amount >= _MANY:
        return f"{_short(amount)}s"
    return f"{_short(amount * 1000)}ms" if amount else "0"


def in_words(amount: float) -> str:
    """Seconds in a sentence: `30 days`, `1 hour`, `90 minutes`."""
    text = written(amount)
    match = _DURATION.fullmatch(text)
    word = None if match is None else _WORDS.get(match[2])
    if match is None or word is None:
        return text
    number = text.removesuffix(match[2])
    return f"{number} {word}{'' if number == '1' else 's'}"


def _short(amount: float) -> str:
    return f"{amount:.3f}".rstrip("0").rstrip(".")
