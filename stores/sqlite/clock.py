"""The last look at the clock for the embedded store, and which records get a new date."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

import trio

from carillon.messages.clock import FAR, Sighting
from carillon.messages.errors import JournalUnavailable
from carillon.stores.sqlite.database import connect, transaction

T = TypeVar("T")
_SETTING: Final = "last-look"
_TIMES: Final = (
    ("dispatch", "ended_at"),
    ("idempotency", "created_at"),
    ("event", "ended_at"),
    ("handover", "at"),
)


class SqliteSightings:
    """Implements `messages.clock.Sightings`. It looks once a minute: no connection stays."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def last(self) -> Sighting | None:
        """See the port."""
        return await self._do(_last)

    async def keep(self, sighting: Sighting) -> None:
        """See the port."""
        kept = json.dumps([sighting.at, sighting.doubt])
        await self._do(
            lambda c: c.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (_SETTING, kept))
        )

    async def date_anew(self, now: int) -> None:
        """See the port."""
        await self._do(lambda c: _date_anew(c, now))

    async def _do(self, run: Callable[[sqlite3.Connection], T]) -> T:
        def in_thread() -> T:
            with closing(connect(self._path)) as connection:
                return run(connection)

        try:
            return await trio.to_thread.run_sync(in_thread)
        except sqlite3.Error as error:
            raise JournalUnavailable(f"The store cannot keep the time: {error}") from None


def _last(connection: sqlite3.Connection) -> Sighting | None:
    row = connection.execute("SELECT value FROM setting WHERE name = ?", (_SETTING,)).fetchone()
    if row is not None:
        at, doubt = json.loads(row[0])
        return Sighting(int(at), int(doubt))
    newest = "SELECT created_at FROM dispatch ORDER BY number DESC LIMIT 1"
    row = connection.execute(newest).fetchone()
    return None if row is None else Sighting(int(row[0]))


def _date_anew(connection: sqlite3.Connection, now: int) -> None:
    with transaction(connection):
        for table, column in _TIMES:
            connection.execute(
                f"UPDATE {table} SET {column} = ? WHERE {column} > ?",  # noqa: S608 - names of ours
                (now, now + FAR),
            )
