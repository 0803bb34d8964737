"""What was handed to a provider with hooks, in the embedded store: many rows a commit.

A connection is opened for each commit: without hooks there is nothing to keep open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import trio

from carillon.messages.clock import milliseconds
from carillon.messages.errors import JournalUnavailable
from carillon.messages.ports.handovers import Handover
from carillon.stores.sqlite.database import connect, transaction

T = TypeVar("T")

RETIRED_AT_ONCE: Final = 500
_ADD: Final = "INSERT INTO handover VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (delivery) DO NOTHING"
_FIND: Final = (
    "SELECT delivery, dispatch, channel, provider, key, user_id FROM handover WHERE delivery = ?"
)
_RETIRE: Final = (
    "DELETE FROM handover WHERE delivery IN (SELECT delivery FROM handover WHERE at < ? LIMIT ?)"
)


@dataclass(eq=False, slots=True)
class _Batch:
    """Rows that go into one commit."""

    rows: list[tuple[str | int, ...]] = field(default_factory=list)
    is_written: bool = False


class SqliteHandovers:
    """Implements `messages.ports.handovers.Handovers`."""

    def __init__(self, path: Path, now: Callable[[], int] = milliseconds) -> None:
        self._path = path
        self._now = now
        self._turn = trio.Lock()
        self._next = _Batch()

    async def add(self, handover: Handover) -> None:
        """See the port. Calls that come while others are written share the next commit."""
        one = handover
        batch = self._next
        batch.rows.append(
            (
                one.delivery_id,
                one.dispatch_id,
                one.channel,
                one.provider,
                one.key,
                one.user_id,
                self._now(),
            )
        )
        async with self._turn:
            if batch is self._next:
                self._next = _Batch()
            if not batch.is_written:  # a batch that failed is tried again by each of its callers
                await self._do(lambda c: c.executemany(_ADD, batch.rows))
                batch.is_written = True

    async def find(self, delivery_id: str) -> Handover | None:
        """See the port."""
        row = await self._do(lambda c: c.execute(_FIND, (delivery_id,)).fetchone(), nullcontext)
        return None if row is None else Handover(*row)

    async def retire(self, before: int) -> bool:
        """See the port."""
        done = await self._do(lambda c: c.execute(_RETIRE, (before, RETIRED_AT_ONCE)).rowcount)
        return done == RETIRED_AT_ONCE

    async def _do(
        self,
        run: Callable[[sqlite3.Connection], T],
        around: Callable[[sqlite3.Connection], AbstractContextManager[object]] = transaction,
    ) -> T:
        def in_thread() -> T:
            with closing(connect(self._path)) as connection, around(connection):
                return run(connection)

        try:
            return await trio.to_thread.run_sync(in_thread)
        except sqlite3.Error as error:
            raise JournalUnavailable(f"What was handed over cannot be kept: {error}") from None
