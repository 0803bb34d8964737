"""Until when providers asked not to be called, in the embedded store.

A connection is opened for each: a provider asks rarely.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

import trio

from carillon.messages.clock import milliseconds
from carillon.messages.errors import JournalUnavailable
from carillon.stores.sqlite.database import connect, transaction

T = TypeVar("T")
_KEEP: Final = (
    "INSERT INTO pause VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE"
    " SET until = excluded.until, seconds = excluded.seconds"
)


class SqlitePauses:
    """Implements `messages.ports.records.Pauses`."""

    def __init__(self, path: Path, now: Callable[[], int] = milliseconds) -> None:
        self._path = path
        self._now = now

    async def left(self) -> Mapping[str, float]:
        """See the port. By a clock that went back a pause lasts as long as was asked, at most."""
        return await self._do(lambda c: pauses_left(c, self._now()))

    async def keep(self, provider: str, seconds: float) -> None:
        """See the port."""
        row = (provider, self._now() + round(seconds * 1000), seconds)
        await self._do(lambda c: _kept(c, row))

    async def _do(self, run: Callable[[sqlite3.Connection], T]) -> T:
        def in_thread() -> T:
            with closing(connect(self._path)) as connection:
                return run(connection)

        try:
            return await trio.to_thread.run_sync(in_thread)
        except sqlite3.Error as error:
            raise JournalUnavailable(f"Pauses of providers cannot be kept: {error}") from None


def pauses_left(connection: sqlite3.Connection, now: int) -> Mapping[str, float]:
    """The seconds that are left of pauses, by provider, at so many milliseconds since 1970."""
    rows = connection.execute("SELECT provider, until, seconds FROM pause").fetchall()
    left = {name: min((until - now) / 1000, seconds) for name, until, seconds in rows}
    return {name: seconds for name, seconds in left.items() if seconds > 0}


def _kept(connection: sqlite3.Connection, row: tuple[str, int, float]) -> None:
    with transaction(connection):
        connection.execute(_KEEP, row)
