"""Writes moments by the tokens of Day.js: `DD/MM/YYYY HH:mm`, and text in brackets as it stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from carillon.handlebars.dates.calendar import Moment
from carillon.handlebars.runtime.numbers import number_text

DEFAULT_FORMAT = "YYYY-MM-DDTHH:mm:ssZ"
UTC_DEFAULT_FORMAT = "YYYY-MM-DDTHH:mm:ss[Z]"
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_TOKENS = re.compile(
    r"\[([^\]]+)]|YYYY|YY|M{1,4}|D{1,2}|d{1,4}|H{1,2}|h{1,2}|a|A|m{1,2}|s{1,2}|Z{1,2}|SSS"
)
_HALF_DAY = 12


@dataclass(frozen=True, slots=True)
class Local:
    """What a clock shows, and its offset from UTC in minutes as Day.js reckons it."""

    at: Moment
    offset: float
    timestamp: int
    zone: str


def _half_hour(at: Moment) -> int:
    return at.hour % _HALF_DAY or _HALF_DAY


def _half(at: Moment) -> str:
    return "AM" if at.hour < _HALF_DAY else "PM"


def _padded(number: int, width: int) -> str:
    return str(number).rjust(width, "0")


_WRITERS: Mapping[str, Callable[[Moment], str]] = MappingProxyType(
    {
        "YY": lambda at: str(at.year)[-2:],
        "YYYY": lambda at: _padded(at.year, 4),
        "M": lambda at: str(at.month),
        "MM": lambda at: _padded(at.month, 2),
        "MMM": lambda at: MONTHS[at.month - 1][:3],
        "MMMM": lambda at: MONTHS[at.month - 1],
        "D": lambda at: str(at.day),
        "DD": lambda at: _padded(at.day, 2),
        "d": lambda at: str(at.weekday),
        "dd": lambda at: DAYS[at.weekday][:2],
        "ddd": lambda at: DAYS[at.weekday][:3],
        "dddd": lambda at: DAYS[at.weekday],
        "H": lambda at: str(at.hour),
        "HH": lambda at: _padded(at.hour, 2),
        "h": lambda at: str(_half_hour(at)),
        "hh": lambda at: _padded(_half_hour(at), 2),
        "a": lambda at: _half(at).lower(),
        "A": _half,
        "m": lambda at: str(at.minute),
        "mm": lambda at: _padded(at.minute, 2),
        "s": lambda at: str(at.second),
        "ss": lambda at: _padded(at.second, 2),
        "SSS": lambda at: _padded(at.millisecond, 3),
    }
)


def format_moment(local: Local, pattern: str) -> str:
    """Write what the clock shows by a pattern."""

    def written(match: re.Match[str]) -> str:
        if match[1]:
            return match[1]
        writer = _WRITERS.get(match[0])
        if writer:
            return writer(local.at)
        zone = offset_text(local.offset)
        return zone if match[0] == "Z" else zone.replace(":", "")

    return _TOKENS.sub(written, pattern)


def offset_text(minutes: float) -> str:
    """Write an offset as +05:30. Those of old local times have fractions, and show them."""
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{_digits(hours)}:{_digits(rest)}"


def _digits(number: float) -> str:
    return number_text(number).rjust(2, "0")
