"""year, moment and date: the dates of handlebars-helpers, by way of moment.js 2 (helper-date 1.0).

Of the English that date.js reads, the usual words are known. If date.js does not understand a text,
such as "29/02/2024", it takes it for now; these helpers fail: a message must not give a wrong day.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Final

from carillon.handlebars.dates.calendar import clipped, milliseconds, moment, timestamp_of
from carillon.handlebars.dates.moment_format import (
    DEFAULT_FORMAT,
    ENGLISH,
    MomentLocales,
    format_as_moment,
)
from carillon.handlebars.dates.parsing import parse_as_v8
from carillon.handlebars.helpers.arguments import ABSENT, kind
from carillon.handlebars.runtime.registry import Helper, Invocation
from carillon.handlebars.runtime.values import UNDEFINED, is_nothing, to_number

_COST: Final = 100
_PATTERN_PER_STEP: Final = 8
_TODAY: Final = "MMMM DD, YYYY"
_INVALID: Final = "Invalid date"
_UNITS: Final[Mapping[str, int]] = {
    "second": 1000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 7 * 86_400_000,
}
_WORDS: Final[Mapping[str, int]] = {"now": 0, "today": 0, "tomorrow": 1, "yesterday": -1}
_SPAN = re.compile(
    r"(?P<ahead>in )?(?P<number>\d{1,6}|an?) (?P<unit>second|minute|hour|day|week|month|year)s?"
    r"(?P<side> ago| from now)?"
)
_NEIGHBOUR = re.compile(r"(?P<side>next|last) (?P<unit>week|month|year)")
_LONGEST_WORDS: Final = 40
_MONTHS: Final = 12
#: Members of moment.js that a hash argument would call; of them `format` is offered.
_METHODS: Final = frozenset(
    {
        "add",
        "calendar",
        "clone",
        "date",
        "day",
        "daysInMonth",
        "diff",
        "endOf",
        "from",
        "fromNow",
        "get",
        "hour",
        "isAfter",
        "isBefore",
        "isSame",
        "isValid",
        "minute",
        "month",
        "quarter",
        "second",
        "set",
        "startOf",
        "subtract",
        "to",
        "toDate",
        "toISOString",
        "toNow",
        "unix",
        "utc",
        "valueOf",
        "week",
        "weekday",
        "year",
    }
)


def moment_helpers(now: Callable[[], datetime]) -> dict[str, Helper]:
    """Make `year`, `moment` and `date` over a clock."""
    locales = MomentLocales()

    def year(_call: Invocation, *_: object) -> object:
        """Return the year now, in UTC."""
        return str(moment(timestamp_of(now())).year)

    def date(
        call: Invocation, value: object = ABSENT, pattern: object = ABSENT, *_: object
    ) -> object:
        """Write a date by a pattern of moment.js, in UTC; `lang=` names a locale."""
        call.charge(_COST)
        write = partial(_write, call, locales)
        if _is_missing(value) and _is_missing(pattern):
            return write(timestamp_of(now()), _TODAY, ENGLISH)
        if call.hash.get("datejs") is False:
            return write(_as_javascript(call, value), pattern)
        if isinstance(value, str) and isinstance(pattern, str):
            return write(_in_words(str(value), timestamp_of(now())), pattern)
        for name, given in call.hash.items():
            if name == "format":
                return write(_as_moment(call, value, now), given)
            if name in _METHODS:
                raise ValueError(f"`{name}=` is not offered; a pattern or `format=` is")
        if isinstance(value, str) and _is_missing(pattern):
            return write(timestamp_of(now()), value)
        return write(_as_moment(call, value, now), pattern)

    return {"year": year, "moment": date, "date": date}


def _is_missing(value: object) -> bool:
    return value is ABSENT or is_nothing(value)


def _write(
    call: Invocation,
    locales: MomentLocales,
    timestamp: int | None,
    pattern: object,
    language: str | None = None,
) -> str:
    if timestamp is None:
        return _INVALID
    text = DEFAULT_FORMAT if _is_missing(pattern) else call.key(pattern)
    call.charge(len(text) // _PATTERN_PER_STEP)
    named = call.hash.get("lang", ENGLISH) if language is None else language
    locale = locales.find(named if isinstance(named, str) else ENGLISH)
    return format_as_moment(timestamp, text, locale)


def _as_javascript(call: Invocation, value: object) -> int | None:
    """Return the milliseconds of `new Date(value)`."""
    if value is None:
        return 0
    if value is UNDEFINED or value is ABSENT:
        return None
    return _milliseconds(call, value)


def _as_moment(call: Invocation, value: object, now: Callable[[], datetime]) -> int | None:
    """Return the milliseconds of `moment(value)`: what is missing is now, null is no date."""
    if value is UNDEFINED or value is ABSENT:
        return timestamp_of(now())
    if value is None or isinstance(value, bool):
        return None
    return _milliseconds(call, value)


def _milliseconds(call: Invocation, value: object) -> int | None:
    if isinstance(value, datetime):
        return timestamp_of(value)
    if isinstance(value, int | float):
        return clipped(to_number(value))
    if isinstance(value, str):
        return parse_as_v8(str(value))
    raise TypeError(f"it takes a date, a text or a number, not {kind(value)}")


def _in_words(text: str, now: int) -> int:
    """Read "5 days ago", "tomorrow" and their like, or a date."""
    words = " ".join(text.lower().split()) if len(text) <= _LONGEST_WORDS else ""
    if words in _WORDS:
        return now + _WORDS[words] * _UNITS["day"]
    if span := _SPAN.fullmatch(words):
        back, ahead = span["side"] == " ago", span["side"] == " from now" or span["ahead"]
        if bool(back) != bool(ahead):
            number = int(span["number"]) if span["number"].isdigit() else 1
            return _moved(now, -number if back else number, span["unit"])
    if neighbour := _NEIGHBOUR.fullmatch(words):
        return _moved(now, 1 if neighbour["side"] == "next" else -1, neighbour["unit"])
    found = parse_as_v8(text) if re.search(r"\d{4}", text) else None
    if found is None:
        raise ValueError(
            'this is no date that it understands, nor words such as "5 days ago" or "tomorrow"'
        )
    return found


def _moved(now: int, number: int, unit: str) -> int:
    if unit in _UNITS:
        return now + number * _UNITS[unit]
    at = moment(now)
    month = at.month + number * (_MONTHS if unit == "year" else 1)
    time = (at.hour, at.minute, at.second, at.millisecond)
    # A day that the month does not have runs over into the next, as JavaScript's does.
    return milliseconds(at.year, month, at.day, *time)
