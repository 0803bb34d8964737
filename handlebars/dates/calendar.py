"""The proleptic Gregorian calendar without end: milliseconds to fields and back (ECMA-262, 21.4.1).

Python's datetime knows the years 1 to 9999, JavaScript's Date 270,000 years on both sides.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

DAY_MS = 86_400_000
_LATEST = 8.64e15
_EPOCH = 719_468
_ERA_DAYS, _ERA_YEARS = 146_097, 400
_FEBRUARY = 2
_MARCH_BASED_JANUARY = 10
_MONTHS = 12
_PRINTABLE_YEARS = 9999


class Moment(NamedTuple):
    """A date and time of day. `weekday` is 0 on Sundays."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    millisecond: int
    weekday: int


def days_from_civil(year: int, month: int, day: int) -> int:
    """Count the days from 1970-01-01. The month may be any number, the day too."""
    year += (month - 1) // _MONTHS
    month = (month - 1) % _MONTHS + 1
    year -= month <= _FEBRUARY
    era, year_of_era = divmod(year, _ERA_YEARS)
    day_of_year = (153 * ((month + 9) % _MONTHS) + 2) // 5
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * _ERA_DAYS + day_of_era - _EPOCH + day - 1


def milliseconds(year: int, month: int, day: int, *time: int) -> int:
    """Count the milliseconds to a moment: date, hours, minutes, seconds, milliseconds."""
    hour, minute, second, millisecond = (*time, 0, 0, 0, 0)[:4]
    days = days_from_civil(year, month, day)
    return days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + millisecond


def moment(timestamp: int) -> Moment:
    """Give the fields of a count of milliseconds."""
    days, rest = divmod(timestamp, DAY_MS)
    seconds, millisecond = divmod(rest, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    era, day_of_era = divmod(days + _EPOCH, _ERA_DAYS)
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < _MARCH_BASED_JANUARY else shifted - 9
    year = year_of_era + era * _ERA_YEARS + (month <= _FEBRUARY)
    return Moment(year, month, day, hour, minute, second, millisecond, (days + 4) % 7)


def clipped(timestamp: float) -> int | None:
    """Give whole milliseconds, or None where JavaScript has an invalid date."""
    # NaN is not below anything either.
    return int(timestamp) if abs(timestamp) <= _LATEST else None


def timestamp_of(value: datetime) -> int:
    """Give the milliseconds of a datetime; one without a zone is in UTC."""
    utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    time = (utc.hour, utc.minute, utc.second, utc.microsecond // 1000)
    return milliseconds(utc.year, utc.month, utc.day, *time)


def iso_text(timestamp: int) -> str:
    """Write a moment as toISOString does."""
    at = moment(timestamp)
    year = f"{at.year:04}" if 0 <= at.year <= _PRINTABLE_YEARS else f"{at.year:+07}"
    date = f"{year}-{at.month:02}-{at.day:02}"
    return f"{date}T{at.hour:02}:{at.minute:02}:{at.second:02}.{at.millisecond:03}Z"
