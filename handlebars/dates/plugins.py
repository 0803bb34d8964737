"""The tokens of Day.js' plugins: `Do`, `Q`, `W`, `LLL`, `z` and their like, in English.

They expand to plain tokens and text in brackets before those are written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from carillon.handlebars.dates.calendar import DAY_MS, Moment, days_from_civil, moment
from carillon.handlebars.dates.formatting import Local
from carillon.handlebars.dates.zone_names import zone_name

_LOCALIZED = re.compile(r"(\[[^\]]+])|(LTS?|l{1,4}|L{1,4})")
_ADVANCED = re.compile(r"\[([^\]]+)]|Q|wo|ww|w|WW|W|zzz|z|gggg|GGGG|Do|X|x|k{1,2}|S")
_SHORTER = re.compile(r"(\[[^\]]+])|(MMMM|MM|DD|dddd)")
_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "LTS": "h:mm:ss A",
        "LT": "h:mm A",
        "L": "MM/DD/YYYY",
        "LL": "MMMM D, YYYY",
        "LLL": "MMMM D, YYYY h:mm A",
        "LLLL": "dddd, MMMM D, YYYY h:mm A",
    }
)
_DECEMBER, _LAST_WEEK, _WEEKS = 12, 25, 52
_TEENS = range(10, 21)


def expand(pattern: str, local: Local) -> str:
    """Write the plugins' tokens of a pattern, and leave the plain ones."""
    pattern = _LOCALIZED.sub(_localized, pattern)
    return _ADVANCED.sub(lambda match: _advanced(match[0], local), pattern)


def _localized(match: re.Match[str]) -> str:
    token = match[2]
    if not token:
        return match[1]
    if token in _FORMATS:
        return _FORMATS[token]
    return _SHORTER.sub(lambda found: found[1] or found[2][1:], _FORMATS[token.upper()])


def _advanced(token: str, local: Local) -> str:
    writer = _WRITERS.get(token)
    return writer(local) if writer else token


def _ordinal(number: int) -> str:
    rest = number % 100
    index = 0 if rest in _TEENS else rest % 10
    return f"[{number}{('th', 'st', 'nd', 'rd')[index] if index < 4 else 'th'}]"  # noqa: PLR2004


def week(at: Moment) -> int:
    """Number the week: weeks begin on Sundays, the first has January 1."""
    new_year = days_from_civil(at.year, 1, 1)
    day = days_from_civil(at.year, at.month, at.day)
    next_year = days_from_civil(at.year + 1, 1, 1)
    if at.month == _DECEMBER and at.day > _LAST_WEEK and next_year <= day + 6 - at.weekday:
        return 1
    return (day - new_year + (new_year + 4) % 7) // 7 + 1


def _week_year(at: Moment) -> int:
    number = week(at)
    if number == 1 and at.month == _DECEMBER:
        return at.year + 1
    return at.year - 1 if at.month == 1 and number >= _WEEKS else at.year


def thursday(at: Moment) -> Moment:
    """Give the Thursday of the ISO week, whose year is that of the week."""
    day = days_from_civil(at.year, at.month, at.day)
    return moment((day + 4 - (at.weekday or 7)) * DAY_MS)


def iso_week(at: Moment) -> int:
    """Number the week: weeks begin on Mondays, the first has the year's first Thursday."""
    middle = thursday(at)
    first = days_from_civil(middle.year, 1, 1)
    return (days_from_civil(middle.year, middle.month, middle.day) - first) // 7 + 1


def _shown_ms(local: Local) -> int:
    """Give the milliseconds that Day.js keeps: those of the clock, taken for UTC."""
    at = local.at
    time = ((at.hour * 60 + at.minute) * 60 + at.second) * 1000 + at.millisecond
    return days_from_civil(at.year, at.month, at.day) * DAY_MS + time


_WRITERS: Mapping[str, Callable[[Local], str]] = MappingProxyType(
    {
        "Q": lambda local: str((local.at.month + 2) // 3),
        "Do": lambda local: _ordinal(local.at.day),
        "gggg": lambda local: str(_week_year(local.at)),
        "GGGG": lambda local: str(thursday(local.at).year),
        "wo": lambda local: _ordinal(week(local.at)),
        "w": lambda local: str(week(local.at)),
        "ww": lambda local: str(week(local.at)).rjust(2, "0"),
        "W": lambda local: str(iso_week(local.at)),
        "WW": lambda local: str(iso_week(local.at)).rjust(2, "0"),
        "k": lambda local: str(local.at.hour or 24),
        "kk": lambda local: str(local.at.hour or 24).rjust(2, "0"),
        "X": lambda local: str(_shown_ms(local) // 1000),
        "x": lambda local: str(_shown_ms(local)),
        "z": lambda local: f"[{zone_name(local, 'short')}]",
        "zzz": lambda local: f"[{zone_name(local, 'long')}]",
    }
)
