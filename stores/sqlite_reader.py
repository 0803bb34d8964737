"""Reading the embedded journal beside its writer and never in its way."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import trio

from carillon.messages.errors import JournalUnavailable
from carillon.stores.sqlite import connect

T = TypeVar("T")


class SqliteReader:
    """One connection that reads in a thread.

    `flush` makes durable what was handed over: a caller may ask for what was just answered.
    """

    def __init__(self, path: Path, flush: Callable[[], Awaitable[None]]) -> None:
        self._connection = connect(path)
        self._flush = flush
        self._limiter = trio.CapacityLimiter(1)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def read(self, run: Callable[[sqlite3.Connection], T], *, newest: bool = True) -> T:
        """What `run` returns; with `newest` it sees what was handed over and not yet written.

        Raises:
            JournalUnavailable: the journal cannot be read.
        """
        if newest:
            with suppress(JournalUnavailable):  # what was durable before can still be told
                await self._flush()
        try:
            return await trio.to_thread.run_sync(run, self._connection, limiter=self._limiter)
        except sqlite3.Error as error:
            raise JournalUnavailable(f"The journal cannot be read: {error}") from None
