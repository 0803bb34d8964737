"""Writes date-times as Date.prototype.toLocaleString does where the time zone is UTC."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel import Locale

_FIELD = re.compile(r"'((?:[^']|'')*)'|([a-zA-Z])\2*")


def date_text(value: datetime, locale: Locale, digits: Mapping[int, str]) -> str:
    """Write the day, the month, the year and the time, all in numbers."""
    at = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    skeletons = locale.datetime_skeletons
    twelve = "h" in _unquoted(str(locale.time_formats["medium"].pattern))
    date = str(skeletons["yMd"].pattern)
    time = str(skeletons["hms" if twelve else "Hms"].pattern)
    return _joined(locale, _written(at, date, locale, digits), _written(at, time, locale, digits))


def _joined(locale: Locale, date: str, time: str) -> str:
    around = str(locale.datetime_formats["short"]).replace("'", "")
    # V8 shows plain spaces where CLDR has narrow ones that do not break.
    return around.replace("{1}", date).replace("{0}", time).replace("\u202f", " ")


def _unquoted(pattern: str) -> str:
    return re.sub("'[^']*'", "", pattern)


def _written(at: datetime, pattern: str, locale: Locale, digits: Mapping[int, str]) -> str:
    half = _half(at, locale)
    hour = at.hour % 12 or 12
    values: dict[str, Callable[[int], str]] = {
        "y": lambda width: f"{at.year % 100:02}" if width == 2 else str(at.year),  # noqa: PLR2004
        "M": lambda width: str(at.month).rjust(width, "0"),
        "L": lambda width: str(at.month).rjust(width, "0"),
        "d": lambda width: str(at.day).rjust(width, "0"),
        "H": lambda width: str(at.hour).rjust(width, "0"),
        "h": lambda width: str(hour).rjust(width, "0"),
        "m": lambda _: f"{at.minute:02}",
        "s": lambda _: f"{at.second:02}",
        "a": lambda _: half,
        "G": lambda _: str(locale.eras["abbreviated"][1]),
    }

    def field(match: re.Match[str]) -> str:
        if match[2] is None:
            return match[1].replace("''", "'") or "'"
        value = values.get(match[2])
        text = value(len(match[0])) if value else match[0]
        return text.translate(digits) if text.isdigit() else text

    return _FIELD.sub(field, pattern)


def _half(at: datetime, locale: Locale) -> str:
    name = "am" if at.hour < 12 else "pm"  # noqa: PLR2004
    for width in ("abbreviated", "wide"):
        found = locale.day_periods["format"].get(width, {}).get(name)
        if found is not None:
            return str(found)
    return name.upper()
