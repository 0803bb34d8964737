"""Which calls were made, in the embedded store: what windows and quotas count after a restart.

They are counted when attempts end, by provider and moment, in the commit that writes the attempts:
one statement more for all of it. No row names a delivery, so to drive one again or to erase it
changes no count, and a day of a million calls is some thousand rows.

A wall clock may be wrong for a while: see `Dating`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from carillon.messages.model import Channel
from carillon.messages.ports.journal import AttemptEnd
from carillon.stores.sqlite.journal.batch import Starts

STEP: Final = 1_000
"""Milliseconds by which a clock that was set differs at least from one that is kept."""
FINE: Final = 600_000
"""Milliseconds for which a call's moment is kept; later calls of `GRAIN` count as of its end."""
GRAIN: Final = 10_000
"""Milliseconds. Quotas reset at full minutes, so no grain lies on both sides of a reset."""
_OPEN: Final = 0  # in place of a time
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_CLOCK_SETTING: Final = "clock"

_Place = tuple[int, Channel]
"""The number of a dispatch, and a channel."""


class CallCounts:
    """Counts the calls of one process; used inside the commits of its journal."""

    def __init__(self) -> None:
        self._open: dict[_Place, dict[str, tuple[int, str]]] = {}
        self._ended: Counter[tuple[str, int]] = Counter()
        self._touched: set[str] = set()
        self._kept = dict(self._open)

    def begin(self) -> None:
        """Remember what holds should the commit fail."""
        self._kept = {place: dict(calls) for place, calls in self._open.items()}

    def roll_back(self) -> None:
        """The commit failed: its attempts will come again."""
        self._open = self._kept
        self._ended.clear()
        self._touched.clear()

    def started(self, number: int, starts: Starts, at: int) -> None:
        """Attempts of a dispatch with this number are on record."""
        calls = self._open.setdefault((number, starts.channel), {})
        if calls:  # a bug cut that one off: its end was never reported
            self._end(calls, [key for key in starts.keys if key in calls], at)
        calls.update(dict.fromkeys(starts.keys, (starts.number, starts.provider)))
        self._touched.add(starts.provider)

    def ended(self, ends: Sequence[tuple[int, AttemptEnd]], at: int) -> None:
        """Attempts ended before their deliveries did; what never started is no call."""
        for number, one in ends:
            calls = self._open.get((number, one.channel), {})
            if calls.get(one.key, (0, ""))[0] != one.number:
                continue
            if one.result == "unstarted":
                self._touched.add(calls.pop(one.key)[1])
            else:
                self._end(calls, [one.key], at)

    def delivered(self, number: int, channel: Channel, keys: Sequence[str], at: int) -> None:
        """Deliveries ended, and with them the attempts that were open."""
        if calls := self._open.get((number, channel)):
            self._end(calls, keys, at)
            if not calls:
                del self._open[number, channel]

    def _end(self, calls: dict[str, tuple[int, str]], keys: Iterable[str], at: int) -> None:
        found = [calls.pop(key, None) for key in keys]
        for provider, number in Counter(one[1] for one in found if one is not None).items():
            self._ended[provider, at] += number
            self._touched.add(provider)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write what has changed."""
        if not self._touched:
            return
        still_open = Counter(
            provider for calls in self._open.values() for _, provider in calls.values()
        )
        values: list[str | int] = []
        for (provider, at), number in self._ended.items():
            values += (provider, at, number)
        for provider in self._touched:
            values += (provider, _OPEN, still_open[provider])
        connection.execute(_added(len(values) // 3), values)
        self._ended.clear()
        self._touched.clear()

    def take_over(self, connection: sqlite3.Connection, now: int) -> None:
        """Let what the process before this one left open count as ended now."""
        self._open.clear()
        _move(connection, "at = 0", now)


@cache
def _added(rows: int) -> str:
    places = ", ".join(["(?, ?, ?)"] * rows)
    return (
        f"INSERT INTO call VALUES {places} ON CONFLICT DO UPDATE"  # noqa: S608 - only places
        " SET number = excluded.number + iif(at = 0, 0, number)"
    )


_SUMMED: Final = " ON CONFLICT DO UPDATE SET number = number + excluded.number"


def _move(connection: sqlite3.Connection, condition: str, to: int) -> None:
    """Change the dates of calls; `condition` is SQL of ours, never from outside."""
    moved = f"SELECT provider, ?, sum(number) FROM call WHERE {condition} GROUP BY provider"  # noqa: S608
    rows = connection.execute(moved, (to,)).fetchall()
    connection.execute(f"DELETE FROM call WHERE {condition}")  # noqa: S608
    connection.executemany("INSERT INTO call VALUES (?, ?, ?)" + _SUMMED, rows)  # noqa: S608 - ours


def tidy(connection: sqlite3.Connection, before: int, now: int) -> None:
    """Erase calls that ended before a time, and keep the others as finely as they need be."""
    coarse = (now - FINE) // GRAIN * GRAIN
    connection.execute("DELETE FROM call WHERE at > 0 AND at < ?", (before,))
    of_grain = f"at > 0 AND at < ? AND at % {GRAIN} <> {GRAIN - 1}"
    connection.execute(
        f"INSERT INTO call SELECT provider, at / {GRAIN} * {GRAIN} + {GRAIN - 1} AS ends,"  # noqa: S608 - numbers of ours
        f" sum(number) FROM call WHERE {of_grain} GROUP BY provider, ends{_SUMMED}",
        (coarse,),
    )
    connection.execute(f"DELETE FROM call WHERE {of_grain}", (coarse,))  # noqa: S608


def past_calls(
    connection: sqlite3.Connection, provider: str, since: int, now: int
) -> list[tuple[int, int]]:
    """When calls to a provider were last open since a time, and how many at each; oldest first."""
    rows = connection.execute(
        "SELECT iif(at = 0, ?, at) AS moment, number FROM call"
        " WHERE provider = ? AND (at = 0 OR at >= ?) AND number > 0 ORDER BY moment",
        (now, provider, since),
    )
    return [(int(at), int(number)) for at, number in rows]


def called_providers(connection: sqlite3.Connection) -> list[str]:
    """The providers of which calls are remembered."""
    rows = connection.execute("SELECT DISTINCT provider FROM call ORDER BY provider")
    return [str(provider) for (provider,) in rows]


class MachineClock:
    """Tells when the wall clock was set, by the clock that runs since the machine was started.

    On a machine whose start has no name only what is set while a process runs is told.
    """

    def __init__(self) -> None:
        self.boot = ""
        with suppress(OSError):
            self.boot = _BOOT_ID.read_text("ascii").strip()

    def offset(self) -> int:
        """The wall clock's lead in milliseconds; constant as long as the clock is not set."""
        running = time.CLOCK_BOOTTIME if hasattr(time, "CLOCK_BOOTTIME") else time.CLOCK_MONOTONIC
        return (time.time_ns() - time.clock_gettime_ns(running)) // 1_000_000


class Dating:
    """Dates the calls of a store by the wall clock as it is now.

    When that is set forward, time has passed, as far as anybody can tell. When it is set back, what
    was dated in between would count until then, however far that is: it is dated back as far.
    """

    def __init__(self, clock: MachineClock) -> None:
        self._clock = clock
        self._offset = self._kept = clock.offset()

    def begin(self, connection: sqlite3.Connection, now: int) -> None:
        """Take up what earlier processes wrote; what stays in the future counts from now on."""
        row = connection.execute(
            "SELECT value FROM setting WHERE name = ?", (_CLOCK_SETTING,)
        ).fetchone()
        known = {} if row is None else json.loads(row[0])
        if self._clock.boot and known.get("boot") == self._clock.boot:
            _date_back(connection, now, self._offset - int(known["offset"]))
        _move(connection, f"at > {now}", now)
        self._keep(connection)

    def follow(self, connection: sqlite3.Connection, now: int) -> bool:
        """Date anew if the clock was set since this was asked last; whether it was."""
        offset = self._clock.offset()
        step, self._kept = offset - self._offset, self._offset
        if abs(step) < STEP:
            return False
        _date_back(connection, now, step)
        self._offset = offset
        self._keep(connection)
        return True

    def roll_back(self) -> None:
        """The commit failed in which it followed."""
        self._offset = self._kept

    def _keep(self, connection: sqlite3.Connection) -> None:
        kept = json.dumps({"boot": self._clock.boot, "offset": self._offset})
        connection.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (_CLOCK_SETTING, kept))


def _date_back(connection: sqlite3.Connection, now: int, step: int) -> None:
    if step > -STEP:
        return
    future = "SELECT provider, at, number FROM call WHERE at > ?"
    moved: Counter[tuple[str, int]] = Counter()
    for provider, at, number in connection.execute(future, (now,)).fetchall():
        moved[provider, max(1, min(at + step, now))] += number
    connection.execute("DELETE FROM call WHERE at > ?", (now,))
    rows = [(*place, number) for place, number in moved.items()]
    connection.executemany("INSERT INTO call VALUES (?, ?, ?)" + _SUMMED, rows)  # noqa: S608 - ours
