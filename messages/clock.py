"""The wall clock, and whether it is believed: what is erased for its age cannot be had back.

A machine may start with the date of its battery, a virtual one wake up with yesterday's, a server
of time be wrong for an hour. So a store keeps when it was last looked after. A clock that says
something `FAR` from that is doubted until the service has run for `DOUBT` by it: meanwhile nothing
is erased, no idempotency key expires and no event is given up for its age.
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
"""Milliseconds: a day. A service may be away for as long without its clock being doubted."""
DOUBT: Final = 86_400_000
"""Milliseconds that a doubted clock must go on, while the service runs, to be believed."""
LOOK: Final = 60.0
"""Seconds between two looks."""
_MOST_LIVED: Final = 3 * 60_000  # milliseconds between two looks that count as run


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the clock said at the last look, and how much doubt was left; milliseconds."""

    at: int
    doubt: int = 0


class Sightings(Protocol):
    """Where the last look is kept. Every method raises JournalUnavailable when it cannot be."""

    async def last(self) -> Sighting | None:
        """The last look, or the time of the newest record before there was any; None if empty."""
        ...

    async def keep(self, sighting: Sighting) -> None:
        """Make a look durable."""
        ...

    async def date_anew(self, now: int) -> None:
        """Let what lies more than `FAR` in the future count as of now."""
        ...


def ago(seconds: float) -> int:
    """The time so long ago by a clock that nobody doubts, in milliseconds since 1970."""
    return milliseconds() - round(seconds * 1000)


def next_sighting(last: Sighting | None, now: int) -> Sighting:
    """What is to be kept of a look at the clock."""
    if last is None:
        return Sighting(now)
    gap = now - last.at
    if abs(gap) > FAR:
        return Sighting(now, DOUBT)
    return Sighting(now, max(0, last.doubt - min(max(gap, 0), _MOST_LIVED)))


class Clock:
    """The wall clock of a service, looked at again and again."""

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
        """Whether it says something else than it should; also right after it was set."""
        if self._doubt or self._looked is None:
            return self._doubt > 0
        wall, at = self._looked
        return abs(self._now() - wall - (trio.current_time() - at) * 1000) > FAR

    def since(self, seconds: float) -> int:
        """The time so long ago, in milliseconds since 1970; 0 while the clock is doubted."""
        return 0 if self.is_doubted() else self._now() - round(seconds * 1000)

    async def look(self) -> None:
        """Compare it with the store. Raises JournalUnavailable."""
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
