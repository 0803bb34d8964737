"""The wall clock, and whether to believe it: records erased because of their age are lost.

A machine may boot with the date of its battery, a virtual machine may resume with yesterday's, and
a time server may be an hour off. So the store keeps the time of the last look at the clock. A clock
that is `FAR` from that time is doubted until the service has run for `DOUBT` by it. Meanwhile
nothing is erased, no idempotency key expires and no event is given up because of its age.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

import trio


def milliseconds(moment: datetime | None = None) -> int:
    """A moment, else now, in milliseconds since 1970."""
    return round((moment or datetime.now(UTC)).timestamp() * 1000)


FAR: Final = 86_400_000
"""Milliseconds: a day. A service may be down for that long before its clock is doubted."""
DOUBT: Final = 86_400_000
"""Milliseconds that a doubted clock must advance, while the service runs, to be believed."""
LOOK: Final = 60.0
"""Seconds between two looks at the clock."""
_MOST_LIVED: Final = 3 * 60_000  # milliseconds between two looks that count as uptime


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the clock said at the last look, and how much doubt was left, in milliseconds."""

    at: int
    doubt: int = 0


class Sightings(Protocol):
    """Where the last look is kept. Every method raises JournalUnavailable if it cannot be used."""

    async def last(self) -> Sighting | None:
        """The last look; without one, the time of the newest record; None if there is no record."""
        ...

    async def keep(self, sighting: Sighting) -> None:
        """Make a look durable."""
        ...

    async def date_anew(self, now: int) -> None:
        """Set the time of every record that lies more than `FAR` in the future to `now`."""
        ...


def ago(seconds: float) -> int:
    """The time that many seconds ago in milliseconds since 1970, by a clock that is believed."""
    return milliseconds() - round(seconds * 1000)


def next_sighting(last: Sighting | None, now: int) -> Sighting:
    """What to keep of a look at the clock."""
    if last is None:
        return Sighting(now)
    gap = now - last.at
    if abs(gap) > FAR:
        return Sighting(now, DOUBT)
    return Sighting(now, max(0, last.doubt - min(max(gap, 0), _MOST_LIVED)))


class Clock:
    """The wall clock of a service, checked at intervals."""

    def __init__(
        self,
        sightings: Sightings,
        logger: logging.Logger,
        now: Callable[[], int] = milliseconds,
    ) -> None:
        self._sightings = sightings
        self._logger = logger
        self._now = now
        self._doubt = 0
        self._looked: tuple[int, float] | None = None  # by the wall clock and by trio's

    def is_doubted(self) -> bool:
        """Whether the clock is wrong, as far as is known; also true right after it was set."""
        if self._doubt or self._looked is None:
            return self._doubt > 0
        wall, at = self._looked
        return abs(self._now() - wall - (trio.current_time() - at) * 1000) > FAR

    def since(self, seconds: float) -> int:
        """The time that many seconds ago, in milliseconds since 1970; 0 while in doubt."""
        return 0 if self.is_doubted() else self._now() - round(seconds * 1000)

    async def look(self) -> None:
        """Compare the clock with the store. Raises JournalUnavailable."""
        last = await self._sightings.last()
        now = self._now()
        seen = next_sighting(last, now)
        if last is not None and last.doubt and not seen.doubt:
            await self._sightings.date_anew(now)
            self._logger.info("the clock is believed again: what is old enough is erased")
        if last is not None and seen.doubt and not self._doubt:
            self._logger.warning(
                "nothing is erased and no idempotency key expires: the clock says %s, but the store"
                " was last written on %s; that ends once the service has run for 24 h by it",
                _date(now),
                _date(last.at),
            )
        self._doubt, self._looked = seen.doubt, (now, trio.current_time())
        await self._sightings.keep(seen)


def _date(at: int) -> str:
    try:
        return datetime.fromtimestamp(at / 1000, UTC).isoformat(" ", "minutes")
    except (ValueError, OverflowError, OSError):
        return f"{at} ms since 1970"
