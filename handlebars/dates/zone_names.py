"""What a time zone is called in English at a moment: EST, Eastern Standard Time, GMT+9."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from carillon.handlebars.dates.formatting import Local

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UTC = {"short": "UTC", "long": "Coordinated Universal Time"}
_UTC_NAMES = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu", "UCT", "Zulu"})


def zone_name(local: Local, width: str) -> str:
    """Name the zone of a moment, `short` or `long`; one without a name by its offset."""
    if local.zone in _UTC_NAMES:
        return _UTC[width]
    from babel import Locale  # noqa: PLC0415
    from babel.core import get_global  # noqa: PLC0415

    english = Locale("en", "US")
    canonical = get_global("zone_aliases").get(local.zone, local.zone)
    metazone = get_global("meta_zones").get(canonical, "")
    variant = "daylight" if _is_daylight(local) else "standard"
    for names in (english.time_zones.get(canonical), english.meta_zones.get(metazone)):
        of_width = names.get(width) if isinstance(names, Mapping) else None
        if isinstance(of_width, Mapping):
            found = of_width.get(variant)
            # The marker ∅∅∅ says that a name is not in use.
            if isinstance(found, str) and "∅" not in found:
                return found
    return _by_offset(local, width)


def _is_daylight(local: Local) -> bool:
    from carillon.handlebars.dates.zones import Zones  # noqa: PLC0415

    zone: ZoneInfo = Zones().find(local.zone)
    at = _EPOCH + timedelta(milliseconds=local.timestamp)
    return bool(at.astimezone(zone).dst())


def _by_offset(local: Local, width: str) -> str:
    if not local.offset:
        return "GMT"
    hours, minutes = divmod(round(abs(local.offset)), 60)
    sign = "+" if local.offset > 0 else "-"
    if width == "long":
        return f"GMT{sign}{hours:02}:{minutes:02}"
    return f"GMT{sign}{hours}:{minutes:02}" if minutes else f"GMT{sign}{hours}"
