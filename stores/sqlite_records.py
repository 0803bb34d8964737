"""What the embedded journal tells of dispatches and deliveries."""

from __future__ import annotations

import sqlite3
from typing import Final

from messages.model import Channel, delivery_id
from messages.records import (
    DeliveryRecord,
    DispatchPage,
    DispatchRecord,
    DispatchState,
    RecordFilter,
    RecordPage,
    Remembered,
)
from stores.cursors import cursor_of, place_of
from stores.sqlite_filter import conditions
from stores.sqlite_reader import SqliteReader

_NEWEST: Final = 2**63 - 1
_DISPATCH: Final = "SELECT number, id, state, channels, created_at, ended_at FROM dispatch"


class SqliteRecords:
    """Implements `messages.records.Records`."""

    def __init__(self, reader: SqliteReader) -> None:
        self._reader = reader

    async def dispatch(self, dispatch_id: str) -> DispatchRecord | None:
        """See the port."""
        return await self._reader.read(lambda c: _dispatch(c, dispatch_id))

    async def dispatches(
        self, state: DispatchState | None, cursor: str, limit: int
    ) -> DispatchPage:
        """See the port."""
        (before,) = place_of(cursor, [_NEWEST])
        return await self._reader.read(lambda c: _dispatches(c, state, int(str(before)), limit))

    async def deliveries(
        self, dispatch_id: str, wanted: RecordFilter, cursor: str, limit: int
    ) -> RecordPage:
        """See the port."""
        channel, key = map(str, place_of(cursor, ["", ""]))
        return await self._reader.read(
            lambda c: _deliveries(c, dispatch_id, wanted, (channel, key), limit)
        )

    async def remembered(self, caller: str, route: str, key: str, since: int) -> Remembered | None:
        """See the port."""
        row = await self._reader.read(
            lambda c: c.execute(
                "SELECT d.id, i.fingerprint FROM idempotency AS i"
                " JOIN dispatch AS d ON d.number = i.dispatch"
                " WHERE i.caller = ? AND i.route = ? AND i.key = ? AND i.created_at >= ?",
                (caller, route, key, since),
            ).fetchone()
        )
        return None if row is None else Remembered(*row)


def _dispatch(connection: sqlite3.Connection, dispatch_id: str) -> DispatchRecord | None:
    row = connection.execute(f"{_DISPATCH} WHERE id = ?", (dispatch_id,)).fetchone()
    return None if row is None else _record(connection, *row)


def _dispatches(
    connection: sqlite3.Connection, state: DispatchState | None, before: int, limit: int
) -> DispatchPage:
    rows = connection.execute(
        f"{_DISPATCH} WHERE number < ? AND (? IS NULL OR state = ?) ORDER BY number DESC LIMIT ?",
        (before, state, state, limit),
    ).fetchall()
    following = cursor_of(rows[-1][0]) if len(rows) == limit else None
    return DispatchPage([_record(connection, *row) for row in rows], following)


def _record(
    connection: sqlite3.Connection,
    number: int,
    identity: str,
    state: DispatchState,
    channels: str,
    created_at: int,
    ended_at: int | None,
) -> DispatchRecord:
    counts = connection.execute(
        "SELECT outcome, count(*) FROM delivery WHERE dispatch = ? GROUP BY outcome", (number,)
    ).fetchall()
    return DispatchRecord(
        identity, state, tuple(channels.split(",")), dict(counts), created_at, ended_at
    )


def _deliveries(
    connection: sqlite3.Connection,
    dispatch_id: str,
    wanted: RecordFilter,
    after: tuple[str, str],
    limit: int,
) -> RecordPage:
    where, values = conditions(wanted)
    rows = connection.execute(
        "SELECT channel, key, user_id, outcome, reason, error, provider, provider_message_id,"  # noqa: S608 - conditions() gives names of columns and places
        " attempts, created_at, ended_at FROM delivery WHERE dispatch = (SELECT number FROM"
        f" dispatch WHERE id = ?) AND (channel, key) > (?, ?){where}"
        " ORDER BY channel, key LIMIT ?",
        (dispatch_id, *after, *values, limit),
    ).fetchall()
    following = cursor_of(rows[-1][0], rows[-1][1]) if len(rows) == limit else None
    return RecordPage([_delivery(dispatch_id, *row) for row in rows], following)


def _delivery(dispatch_id: str, channel: Channel, key: str, *rest: object) -> DeliveryRecord:
    return DeliveryRecord(delivery_id(dispatch_id, channel, key), channel, *rest)  # type: ignore[arg-type]  # as the columns stand
