"""Dates: dateNow and dateFormat, with the tokens of Day.js and the zones of IANA."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from carillon.handlebars.dates.calendar import (
    clipped,
    iso_text,
    milliseconds,
    moment,
    timestamp_of,
)
from carillon.handlebars.dates.formatting import (
    DEFAULT_FORMAT,
    UTC_DEFAULT_FORMAT,
    Local,
    format_moment,
)
from carillon.handlebars.dates.parsing import parse_as_v8, parse_text
from carillon.handlebars.dates.zones import Zones, offset_ms
from carillon.handlebars.helpers.arguments import ABSENT, kind
from carillon.handlebars.runtime.registry import Helper, Invocation
from carillon.handlebars.runtime.values import UNDEFINED, is_nothing, is_true, to_number

Clock = Callable[[], datetime]
_INVALID = "Invalid Date"
_NOW = 4
#: Reading, shifting and writing a date costs as much as some calls of other helpers.
_COST = 30
_FORMAT_PER_STEP = 5
_SMALL_OFFSET = 16
_TWO_DIGITS = 100


def utc_now() -> datetime:
    """Return the time of the machine."""
    return datetime.now(UTC)


def date_helpers(now: Clock = utc_now, *, plugins: bool = False) -> dict[str, Helper]:
    """Make `dateNow` and `dateFormat` over a clock.

    With `plugins` the tokens of Day.js' advancedFormat, weekOfYear, isoWeek and localizedFormat
    count too; without them they come out as they stand.
    """
    zones = Zones()

    def date_now(call: Invocation, *_: object) -> object:
        """Return the time now as ISO text in UTC."""
        call.charge(_NOW)
        return iso_text(timestamp_of(now()))

    def date_format(call: Invocation, value: object = ABSENT, *_: object) -> object:
        """Write a date, by `format=` and in the zone `tz=`; without them ISO text in UTC."""
        call.charge(_COST)
        if value is ABSENT:
            raise TypeError("it takes a date")
        timestamp = _read(call, value, now)
        if timestamp is None:
            return _INVALID
        zone = call.hash.get("tz", UNDEFINED)
        local = _local(zones, "UTC" if is_nothing(zone) else call.key(zone), timestamp)
        pattern = _pattern(call, local, plugins=plugins)
        call.charge(len(pattern) // _FORMAT_PER_STEP)
        if plugins:
            from carillon.handlebars.dates.plugins import expand  # noqa: PLC0415

            pattern = expand(pattern, local)
        return format_moment(local, pattern)

    return {"dateNow": date_now, "dateFormat": date_format}


def _pattern(call: Invocation, local: Local, *, plugins: bool) -> str:
    given = call.hash.get("format", UNDEFINED)
    if not is_true(given):
        # With plugins the reference forgets that UTC has a default of its own.
        return DEFAULT_FORMAT if local.offset or plugins else UTC_DEFAULT_FORMAT
    if not isinstance(given, str):
        raise TypeError(f"the format is a text, not {kind(given)}")
    return str(given)


def _read(call: Invocation, value: object, now: Clock) -> int | None:
    """Return the milliseconds of whatever a template takes for a date; missing is now."""
    if value is UNDEFINED:
        return timestamp_of(now())
    if isinstance(value, datetime):
        return timestamp_of(value)
    if isinstance(value, str):
        return parse_text(str(value))
    if isinstance(value, int | float):
        return clipped(to_number(value))
    # As text a list may well be a date: [2023, 10, 15] is to JavaScript.
    return parse_as_v8(call.text(value)) if isinstance(value, list) else None


def _read_back(shown: int) -> int:
    """What a clock shows, once it was written with a year of two digits and read again.

    Day.js' zones go by way of a text such as "1/1/1, 12:49 AM", which V8 reads as one of 2001.
    """
    at = moment(shown)
    of_era = at.year if at.year > 0 else 1 - at.year
    century = 2000 if of_era < _TWO_DIGITS // 2 else 1900 if of_era < _TWO_DIGITS else 0
    if of_era + century == at.year:
        return shown
    return milliseconds(
        of_era + century, at.month, at.day, at.hour, at.minute, at.second, at.millisecond
    )


def _local(zones: Zones, name: str, timestamp: int) -> Local:
    zone = None if name == "UTC" else zones.find(name)
    shift = offset_ms(zone, timestamp) if zone else 0
    shown = _read_back(timestamp + shift)
    # Day.js drops the milliseconds of a time before 1970 upwards, and of what a clock shows
    # downwards; the second between them becomes part of the offset.
    dropped = timestamp // 1000 if timestamp >= 0 else -(-timestamp // 1000)
    minutes = (shown // 1000 - dropped) / 60
    # It also takes a small offset for hours.
    label = minutes * 60 if abs(minutes) <= _SMALL_OFFSET else minutes
    return Local(moment(shown), label, timestamp, zone.key if zone else name)
