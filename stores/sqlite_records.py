"""Reading the journal: what became of a dispatch, and of each of its deliveries."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import trio

from messages.errors import JournalUnavailable
from messages.model import Channel, Outcome, Reason
from messages.ports import DeliveryRecord, DispatchRecord, RecordFilter
from stores.sqlite import connect

T = TypeVar("T")


class SqliteRecords:
    """Implements `messages.ports.Records`, beside the writer and never in its way."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._limiter = trio.CapacityLimiter(1)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def dispatch(self, dispatch_id: str) -> DispatchRecord | None:
        """See the port."""
        return await self._read(lambda c: _dispatch(c, dispatch_id))

    async def deliveries(
        self, dispatch_id: str, wanted: RecordFilter, after: str, limit: int
    ) -> list[DeliveryRecord]:
        """See the port."""
        return await self._read(lambda c: _deliveries(c, dispatch_id, wanted, after, limit))

    async def _read(self, run: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await trio.to_thread.run_sync(run, self._connection, limiter=self._limiter)
        except sqlite3.Error as error:
            raise JournalUnavailable(f"The journal cannot be read: {error}") from None


def _dispatch(connection: sqlite3.Connection, dispatch_id: str) -> DispatchRecord | None:
    row = connection.execute(
        "SELECT state, channels, created_at, ended_at FROM dispatch WHERE id = ?", (dispatch_id,)
    ).fetchone()
    if row is None:
        return None
    state, channels, created_at, ended_at = row
    counts = connection.execute(
        "SELECT outcome, count(*) FROM delivery WHERE dispatch = ? GROUP BY outcome",
        (dispatch_id,),
    ).fetchall()
    return DispatchRecord(
        id=dispatch_id,
        state=state,
        channels=tuple(channels.split(",")),
        counts=dict(counts),
        created_at=created_at,
        ended_at=ended_at,
    )


def _deliveries(
    connection: sqlite3.Connection, dispatch_id: str, wanted: RecordFilter, after: str, limit: int
) -> list[DeliveryRecord]:
    conditions, values = ["dispatch = ?", "id > ?"], [dispatch_id, after]
    if wanted.outcomes:
        conditions.append(f"outcome IN ({', '.join('?' * len(wanted.outcomes))})")
        values += wanted.outcomes
    for column, value in (("channel", wanted.channel), ("user_id", wanted.user_id)):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    rows = connection.execute(
        "SELECT id, channel, user_id, outcome, reason, error, provider, provider_message_id,"  # noqa: S608
        " attempts, created_at, ended_at FROM delivery"
        f" WHERE {' AND '.join(conditions)} ORDER BY id LIMIT ?",
        (*values, limit),
    )
    return [
        DeliveryRecord(
            id=row[0],
            channel=cast(Channel, row[1]),
            user_id=row[2],
            outcome=cast(Outcome, row[3]),
            reason=cast("Reason | None", row[4]),
            error=row[5],
            provider=row[6],
            provider_message_id=row[7],
            attempts=row[8],
            created_at=row[9],
            ended_at=row[10],
        )
        for row in rows
    ]
