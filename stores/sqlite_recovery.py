"""What the embedded journal tells a process that takes up what an earlier one left."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Final

from carillon.messages.model import CHANNELS, Channel, Cursor
from carillon.messages.ports.records import PastAttempt, Pending, Unfinished
from carillon.stores.sqlite_reader import SqliteReader

_UNFINISHED: Final = (
    "SELECT number, id, channels, state, caller FROM dispatch WHERE ended_at IS NULL"
)


class SqliteRecovery:
    """Implements `messages.records.Recovery`."""

    def __init__(self, reader: SqliteReader) -> None:
        self._reader = reader

    async def unfinished(self, running: Collection[str] = ()) -> Sequence[Unfinished]:
        """See the port."""
        found = await self._reader.read(
            lambda c: [_unfinished(c, *row) for row in c.execute(f"{_UNFINISHED} ORDER BY number")]
        )
        return [one for one in found if one.id not in running]

    async def request(self, dispatch_id: str) -> bytes | None:
        """See the port."""
        row = await self._reader.read(
            lambda c: c.execute(
                "SELECT CAST(text AS BLOB) FROM request JOIN dispatch ON number = dispatch"
                " WHERE id = ?",
                (dispatch_id,),
            ).fetchone()
        )
        return None if row is None else bytes(row[0])

    async def find_unfinished(self, dispatch_id: str) -> Unfinished | None:
        """See the port."""
        found = await self._reader.read(
            lambda c: [
                _unfinished(c, *row)
                for row in c.execute(f"{_UNFINISHED} AND id = ?", (dispatch_id,))
            ]
        )
        return found[0] if found else None

    async def pending(
        self, dispatch_id: str, channel: Channel, after: str, limit: int
    ) -> Sequence[Pending]:
        """See the port."""
        return await self._reader.read(
            lambda c: _pending(c, dispatch_id, channel, after, limit), newest=False
        )


def _unfinished(
    connection: sqlite3.Connection,
    number: int,
    identity: str,
    channels: str,
    state: str,
    caller: str,
) -> Unfinished:
    counts = connection.execute(
        "SELECT outcome, count(*) FROM delivery WHERE dispatch = ? AND outcome <> 'pending'"
        " GROUP BY outcome",
        (number,),
    ).fetchall()
    progress = connection.execute(
        "SELECT channel, position, after FROM progress WHERE dispatch = ?", (number,)
    ).fetchall()
    return Unfinished(
        id=identity,
        channels=[name for name in CHANNELS if name in channels.split(",")],
        cancelled=state == "cancelled",
        counts=dict(counts),
        progress={channel: Cursor(*place) for channel, *place in progress},
        caller=caller,
    )


def _pending(
    connection: sqlite3.Connection, dispatch_id: str, channel: Channel, after: str, limit: int
) -> list[Pending]:
    rows = connection.execute(
        "SELECT dispatch, key, user_id, tries_from FROM delivery WHERE dispatch ="
        " (SELECT number FROM dispatch WHERE id = ?) AND channel = ? AND key > ?"
        " AND outcome = 'pending' ORDER BY key LIMIT ?",
        (dispatch_id, channel, after, limit),
    ).fetchall()
    return [
        _one_pending(connection, (number, channel, key), user_id, tries_from)
        for number, key, user_id, tries_from in rows
    ]


def _one_pending(
    connection: sqlite3.Connection, place: tuple[int, str, str], user_id: str, tries_from: int
) -> Pending:
    rows = connection.execute(
        "SELECT number, provider, result FROM attempt WHERE dispatch = ? AND channel = ?"
        " AND key = ? ORDER BY number",
        place,
    )
    attempts = [PastAttempt(*row) for row in rows]
    starts = attempts[-1].number if attempts else 0
    counted = [one for one in attempts if one.number > tries_from]
    return Pending(place[2], user_id, counted, starts)
