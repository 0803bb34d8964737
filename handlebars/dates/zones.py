"""Time zones by name: what a clock there shows, and how far that is from UTC.

The data is that of the `tzdata` package and never the machine's own, so that all machines agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib import resources
from zoneinfo import ZoneInfo

from carillon.handlebars.dates.calendar import DAY_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CYCLE_MS = 146_097 * DAY_MS
#: Moments that datetime can shift by any offset: the years 2 to 9998.
_FIRST, _LAST = -62_104_000_000_000, 253_370_000_000_000


class UnknownZone(ValueError):
    """There is no zone of a name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no time zone `{name[:40]}`")
        self.name = name


class Zones:
    """The zones that the templates of one engine have asked for so far.

    Names are case-blind, as in JavaScript. There are some 600, so all that were asked for are kept.
    """

    __slots__ = ("_found", "_names")

    def __init__(self) -> None:
        self._found: dict[str, ZoneInfo] = {}
        self._names: Mapping[str, str] = {}

    def find(self, name: str) -> ZoneInfo:
        """Find a zone by its name.

        Raises:
            UnknownZone: there is none of that name.
        """
        found = self._found.get(name)
        if found is not None:
            return found
        names = self._names = self._names or zone_names()
        known = names.get(name.lower())
        if known is None:
            raise UnknownZone(name)
        found = self._found.get(known) or _load(known)
        self._found[known] = found
        return found


def zone_names() -> Mapping[str, str]:
    """Each name, under itself in small letters."""
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return {name.lower(): name for name in listed.split() if name != "Factory"}


def _load(name: str) -> ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def offset_ms(zone: ZoneInfo, timestamp: int) -> int:
    """Tell how far a zone's clock is from UTC at a moment."""
    # Beyond the years that datetime knows, the calendar comes round every 400 years.
    if timestamp > _LAST:
        timestamp -= -(-(timestamp - _LAST) // _CYCLE_MS) * _CYCLE_MS
    elif timestamp < _FIRST:
        timestamp += -(-(_FIRST - timestamp) // _CYCLE_MS) * _CYCLE_MS
    offset = (_EPOCH + timedelta(milliseconds=timestamp)).astimezone(zone).utcoffset()
    return 0 if offset is None else offset // timedelta(milliseconds=1)
