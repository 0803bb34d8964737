"""Writes moments by the tokens of moment.js 2, in UTC, with the names and formats of its locales.

`moment.json` is made by `generate_moment.js` out of moment.js itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

from carillon.handlebars.dates.calendar import Moment, days_from_civil, moment
from carillon.handlebars.dates.plugins import iso_week, thursday

DEFAULT_FORMAT = "YYYY-MM-DDTHH:mm:ssZ"
ENGLISH = "en"
#: moment.js' own expression for tokens (`formattingTokens` of its lib/format/format.js).
_TOKENS = re.compile(
    r"(\[[^\[]*?\])|(\\)?([Hh]mm(?:ss)?|Mo|MM?M?M?|Do|DDDo|DD?D?D?|ddd?d?|do?|w[ow]?|W[oW]?|Qo?"
    r"|N{0,5}N|YYYYYY|YYYYY|YYYY|YY|y{2,4}|yo?|gg(?:ggg?)?|GG(?:GGG?)?|e|E|a|A|hh?|HH?|kk?|mm?"
    r"|ss?|S{1,9}|x|X|zz?|ZZ?|.)",
    re.DOTALL,
)
_LONG = re.compile(r"(\[[^\[]*\])|(\\)?(LTS|LT|LL?L?L?|l{1,4})")
_LONG_NAMES = ("LTS", "LT", "L", "LL", "LLL", "LLLL", "l", "ll", "lll", "llll")
_MOST_NESTED = 5
_TEENS = range(11, 14)
_HALF_DAY, _YEARS_OF_FOUR = 12, 9999


@dataclass(frozen=True, slots=True)
class MomentLocale:
    """How a locale writes. Lists are by month, by day of the week (Sunday first), by hour."""

    months: Sequence[str]
    short: Sequence[str]
    days: Sequence[str]
    shortDays: Sequence[str]  # noqa: N815 - the names of the table
    minDays: Sequence[str]  # noqa: N815
    formats: Sequence[str]
    ordinals: Sequence[str]
    upper: Sequence[str]
    week: tuple[int, int]
    lower: Sequence[str] = ()
    monthsInDate: Sequence[str] = ()  # noqa: N815
    shortInDate: Sequence[str] = ()  # noqa: N815
    digits: str = "0123456789"
    comma: str = ","
    inDate: str = r"D[oD]?(\[[^\[\]]*\]|\s)+MMMM?"  # noqa: N815 - where names of months are inflected

    def ordinal(self, number: int) -> str:
        """Write a number as that of a day is written."""
        if number > len(self.ordinals):
            like = number % 100 if number % 100 in _TEENS else 20 + number % 10
            return self.ordinals[like - 1].replace(str(like), str(number))
        return self.ordinals[number - 1] if number else self.ordinals[9].replace("10", "0")


@dataclass(slots=True)
class MomentLocales:
    """The locales of moment.js, read when the first is asked for."""

    _found: dict[str, MomentLocale] = field(default_factory=dict)

    def find(self, name: str) -> MomentLocale:
        """Find a locale by a tag, or by its language; English where there is none."""
        if not self._found:
            table = json.loads((Path(__file__).parent / "moment.json").read_text("utf-8"))
            self._found = {tag: MomentLocale(**row) for tag, row in table.items()}
        parts = name.lower().replace("_", "-").split("-")
        for length in range(len(parts), 0, -1):
            if locale := self._found.get("-".join(parts[:length])):
                return locale
        return self._found[ENGLISH]


def format_as_moment(timestamp: int, pattern: str, locale: MomentLocale) -> str:
    """Write a count of milliseconds by a pattern of moment.js."""
    pattern = _without_long(pattern, locale)
    shown = _Shown(
        moment(timestamp), timestamp, locale, in_date=bool(re.search(locale.inDate, pattern))
    )
    text = _TOKENS.sub(partial(_written, shown), pattern)
    if text.isascii() and locale.digits.isascii() and locale.comma == ",":
        return text
    signs = dict(zip(map(ord, "0123456789"), locale.digits, strict=True))
    return text.translate({**signs, ord(","): locale.comma})


@dataclass(frozen=True, slots=True)
class _Shown:
    at: Moment
    timestamp: int
    locale: MomentLocale
    in_date: bool

    @property
    def day_of_year(self) -> int:
        first = days_from_civil(self.at.year, 1, 1)
        return days_from_civil(self.at.year, self.at.month, self.at.day) - first + 1

    @property
    def week(self) -> tuple[int, int]:
        """The year and the number of the week, by the locale's first day and first week."""
        first_day, first_week = self.locale.week
        today = days_from_civil(self.at.year, self.at.month, self.at.day)
        for year in (self.at.year + 1, self.at.year, self.at.year - 1):
            start = _first_week(year, first_day, first_week)
            if start <= today:
                return year, (today - start) // 7 + 1
        raise AssertionError

    def month(self, *, short: bool) -> str:
        locale, index = self.locale, self.at.month - 1
        if short:
            return ((self.in_date and locale.shortInDate) or locale.short)[index]
        return ((self.in_date and locale.monthsInDate) or locale.months)[index]


def _first_week(year: int, first_day: int, first_week: int) -> int:
    """The day on which the first week of a year begins, as moment.js' firstWeekOffset."""
    within = 7 + first_day - first_week
    january = days_from_civil(year, 1, within)
    weekday = (january + 4) % 7
    return january - (7 + weekday - first_day) % 7


def _without_long(pattern: str, locale: MomentLocale) -> str:
    def long(match: re.Match[str]) -> str:
        if match[1] or match[2]:
            return match[0]
        return locale.formats[_LONG_NAMES.index(match[3])]

    for _ in range(_MOST_NESTED):
        longer = _LONG.sub(long, pattern)
        if longer == pattern:
            break
        pattern = longer
    return pattern


def _written(shown: _Shown, match: re.Match[str]) -> str:
    if match[1]:
        return match[1][1:-1]
    token = match[3]
    if match[2]:
        return token
    if set(token) == {"S"}:
        return f"{shown.at.millisecond:03}000000"[: len(token)]
    writer = _WRITERS.get(token)
    return writer(shown) if writer else token


def _year(at: Moment) -> str:
    return f"{at.year:04}" if 0 <= at.year <= _YEARS_OF_FOUR else f"{at.year:+}"


def _of_era(at: Moment) -> int:
    return at.year if at.year > 0 else 1 - at.year


def _twelve(at: Moment) -> int:
    return at.hour % _HALF_DAY or _HALF_DAY


def _weekday(shown: _Shown) -> int:
    return (shown.at.weekday - shown.locale.week[0]) % 7


_WRITERS: Mapping[str, Callable[[_Shown], str]] = MappingProxyType(
    {
        "M": lambda s: str(s.at.month),
        "Mo": lambda s: s.locale.ordinal(s.at.month),
        "MM": lambda s: f"{s.at.month:02}",
        "MMM": lambda s: s.month(short=True),
        "MMMM": lambda s: s.month(short=False),
        "Q": lambda s: str((s.at.month + 2) // 3),
        "Qo": lambda s: s.locale.ordinal((s.at.month + 2) // 3),
        "D": lambda s: str(s.at.day),
        "Do": lambda s: s.locale.ordinal(s.at.day),
        "DD": lambda s: f"{s.at.day:02}",
        "DDD": lambda s: str(s.day_of_year),
        "DDDo": lambda s: s.locale.ordinal(s.day_of_year),
        "DDDD": lambda s: f"{s.day_of_year:03}",
        "d": lambda s: str(s.at.weekday),
        "do": lambda s: s.locale.ordinal(s.at.weekday),
        "dd": lambda s: s.locale.minDays[s.at.weekday],
        "ddd": lambda s: s.locale.shortDays[s.at.weekday],
        "dddd": lambda s: s.locale.days[s.at.weekday],
        "e": lambda s: str(_weekday(s)),
        "E": lambda s: str(s.at.weekday or 7),
        "w": lambda s: str(s.week[1]),
        "wo": lambda s: s.locale.ordinal(s.week[1]),
        "ww": lambda s: f"{s.week[1]:02}",
        "W": lambda s: str(iso_week(s.at)),
        "Wo": lambda s: s.locale.ordinal(iso_week(s.at)),
        "WW": lambda s: f"{iso_week(s.at):02}",
        "YY": lambda s: f"{s.at.year % 100:02}",
        "YYYY": lambda s: _year(s.at),
        "YYYYY": lambda s: f"{s.at.year:05}",
        "YYYYYY": lambda s: f"{s.at.year:+07}",
        "y": lambda s: str(_of_era(s.at)),
        "yy": lambda s: f"{_of_era(s.at):02}",
        "yyy": lambda s: f"{_of_era(s.at):03}",
        "yyyy": lambda s: f"{_of_era(s.at):04}",
        "N": lambda s: "AD" if s.at.year > 0 else "BC",
        "gg": lambda s: f"{s.week[0] % 100:02}",
        "gggg": lambda s: f"{s.week[0]:04}",
        "ggggg": lambda s: f"{s.week[0]:05}",
        "GG": lambda s: f"{thursday(s.at).year % 100:02}",
        "GGGG": lambda s: f"{thursday(s.at).year:04}",
        "GGGGG": lambda s: f"{thursday(s.at).year:05}",
        "A": lambda s: s.locale.upper[s.at.hour],
        "a": lambda s: (s.locale.lower or s.locale.upper)[s.at.hour],
        "H": lambda s: str(s.at.hour),
        "HH": lambda s: f"{s.at.hour:02}",
        "h": lambda s: str(_twelve(s.at)),
        "hh": lambda s: f"{_twelve(s.at):02}",
        "k": lambda s: str(s.at.hour or 24),
        "kk": lambda s: f"{s.at.hour or 24:02}",
        "Hmm": lambda s: f"{s.at.hour}{s.at.minute:02}",
        "Hmmss": lambda s: f"{s.at.hour}{s.at.minute:02}{s.at.second:02}",
        "hmm": lambda s: f"{_twelve(s.at)}{s.at.minute:02}",
        "hmmss": lambda s: f"{_twelve(s.at)}{s.at.minute:02}{s.at.second:02}",
        "m": lambda s: str(s.at.minute),
        "mm": lambda s: f"{s.at.minute:02}",
        "s": lambda s: str(s.at.second),
        "ss": lambda s: f"{s.at.second:02}",
        "X": lambda s: str(s.timestamp // 1000),
        "x": lambda s: str(s.timestamp),
        "Z": lambda _: "+00:00",
        "ZZ": lambda _: "+0000",
        "z": lambda _: "",
        "zz": lambda _: "",
    }
)
