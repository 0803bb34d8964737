"""A clock that is far from what the store was last told is doubted for a day, either way."""

from __future__ import annotations

import io

import pytest
import trio
from trio.testing import MockClock

from carillon.messages.clock import DOUBT, FAR, Clock, Sighting, next_sighting
from carillon.telemetry.logs import make_logger

DAY = 86_400_000
TODAY = 20_000 * DAY


class Kept:
    """Implements `messages.clock.Sightings`."""

    def __init__(self, last: Sighting | None = None) -> None:
        self.sighting = last
        self.dated: list[int] = []

    async def last(self) -> Sighting | None:
        await trio.lowlevel.checkpoint()
        return self.sighting

    async def keep(self, sighting: Sighting) -> None:
        await trio.lowlevel.checkpoint()
        self.sighting = sighting

    async def date_anew(self, now: int) -> None:
        await trio.lowlevel.checkpoint()
        self.dated.append(now)


class Wall:
    """A wall clock that runs with trio's until it is set."""

    def __init__(self, at: int = TODAY) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at + round(trio.current_time() * 1000)


class Watch:
    """A clock, what it is compared with, and what it has said."""

    def __init__(self, last: Sighting | None, at: int = TODAY) -> None:
        self.kept, self.wall, self.log = Kept(last), Wall(at), io.StringIO()
        self.clock = Clock(self.kept, make_logger("info", self.log), self.wall)

    async def run(self, minutes: int) -> None:
        for _ in range(minutes):
            await trio.sleep(60)
            await self.clock.look()

    @property
    def said(self) -> int:
        return self.log.getvalue().count("nothing is erased")


@pytest.mark.parametrize("days", [40, 2, -2, -40])
async def test_a_start_far_from_the_newest_record_is_doubted_and_says_so_once(
    days: int, autojump_clock: MockClock
) -> None:
    it = Watch(Sighting(TODAY), TODAY + days * DAY)
    await it.clock.look()
    assert it.clock.is_doubted()
    assert it.clock.since(60) == 0
    await it.run(5)
    assert it.clock.is_doubted()
    assert it.said == 1


async def test_what_was_away_for_a_night_is_not_doubted(autojump_clock: MockClock) -> None:
    it = Watch(Sighting(TODAY - 12 * 3_600_000))
    await it.clock.look()
    assert not it.clock.is_doubted()
    assert it.clock.since(60) == it.wall() - 60_000
    assert it.said == 0


async def test_an_empty_store_doubts_nothing(autojump_clock: MockClock) -> None:
    it = Watch(None)
    await it.clock.look()
    assert not it.clock.is_doubted()


@pytest.mark.parametrize("days", [400, -400])
async def test_a_clock_that_is_set_is_doubted_at_once(days: int, autojump_clock: MockClock) -> None:
    it = Watch(None)
    await it.clock.look()
    it.wall.at += days * DAY
    assert it.clock.is_doubted()
    await it.run(3)
    it.wall.at -= days * DAY
    await it.run(3)
    assert it.clock.is_doubted()
    assert it.said == 1


@pytest.mark.slow
async def test_a_clock_that_has_run_for_a_day_is_believed_and_the_future_is_dated_anew(
    autojump_clock: MockClock,
) -> None:
    it = Watch(Sighting(TODAY), TODAY + 40 * DAY)
    await it.clock.look()
    await it.run(DOUBT // 60_000 - 1)
    assert it.clock.is_doubted()
    assert it.kept.dated == []
    await it.run(1)
    assert not it.clock.is_doubted()
    assert len(it.kept.dated) == 1
    assert "believed again" in it.log.getvalue()


def test_time_in_which_nobody_looked_takes_no_doubt_away() -> None:
    seen = next_sighting(Sighting(TODAY), TODAY + FAR + 1)
    assert seen == Sighting(TODAY + FAR + 1, DOUBT)
    later = next_sighting(seen, seen.at + FAR)
    assert later.doubt >= DOUBT - 3 * 60_000


def test_a_clock_out_of_every_range_is_no_error() -> None:
    assert next_sighting(Sighting(TODAY), -(10**18)).doubt == DOUBT
