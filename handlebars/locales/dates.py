"""Writes date-times as Date.prototype.toLocaleString does where the time zone is UTC."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

_FIELD = re.compile(r"'((?:[^']|'')*)'|([a-zA-Z])\2*")
_BUDDHIST_YEARS = 543
_PERSIAN_EPOCH = 226_895  # the ordinal of 1 Farvardin of year 1
_EARLY_MONTHS = 31 * 6


@dataclass(frozen=True, slots=True)
class DateStyle:
    """How a locale writes a date with its time: a pattern with CLDR's letters.

    `digits` is its numbering system, `calendar` one of Intl's; `am`, `pm` and `era` are texts.
    """

    pattern: str
    digits: str
    am: str
    pm: str
    calendar: str = "gregory"
    era: str = ""


def date_text(value: datetime, style: DateStyle, digits: Mapping[int, str]) -> str:
    """Write the day, the month, the year and the time, all in numbers."""
    at = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    year, month, day = _in_calendar(at, style.calendar)
    values: dict[str, Callable[[int], str]] = {
        "y": lambda _: str(year),
        "M": lambda width: str(month).rjust(width, "0"),
        "d": lambda width: str(day).rjust(width, "0"),
        "H": lambda width: str(at.hour).rjust(width, "0"),
        "h": lambda width: str(at.hour % 12 or 12).rjust(width, "0"),
        "m": lambda width: str(at.minute).rjust(width, "0"),
        "s": lambda width: str(at.second).rjust(width, "0"),
        "a": lambda _: style.am if at.hour < 12 else style.pm,  # noqa: PLR2004
        "G": lambda _: style.era,
    }

    def field(match: re.Match[str]) -> str:
        if match[2] is None:
            return match[1].replace("''", "'")
        text = values[match[2]](len(match[0]))
        return text.translate(digits) if text.isdigit() else text

    return _FIELD.sub(field, style.pattern)


def _in_calendar(at: datetime, calendar: str) -> tuple[int, int, int]:
    if calendar == "persian":
        return _persian(at.toordinal())
    shift = _BUDDHIST_YEARS if calendar == "buddhist" else 0
    return at.year + shift, at.month, at.day


def _persian(ordinal: int) -> tuple[int, int, int]:
    """The Persian date of a day, by the arithmetic of ICU's PersianCalendar; exact until 2124."""
    days = ordinal - _PERSIAN_EPOCH
    year = 1 + (33 * days + 3) // 12053
    rest = days - (365 * (year - 1) + (8 * year + 21) // 33)
    if rest < _EARLY_MONTHS:
        return year, rest // 31 + 1, rest % 31 + 1
    return year, (rest - 6) // 30 + 1, (rest - 6) % 30 + 1
