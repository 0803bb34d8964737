"""What the embedded journal tells of dispatches and deliveries."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from carillon.messages.model import Channel, delivery_id
from carillon.messages.ports.records import (
    DeliveryRecord,
    DispatchPage,
    DispatchRecord,
    DispatchState,
    RecordFilter,
    RecordPage,
    Remembered,
    audience_record,
)
from carillon.stores.cursors import cursor_of, ids_after, place_of
from carillon.stores.sqlite_calls import past_calls
from carillon.stores.sqlite_filter import conditions
from carillon.stores.sqlite_reader import SqliteReader

_NEWEST: Final = 2**63 - 1
_DISPATCH: Final = (
    "SELECT number, id, iif(state = 'cancelled' AND ended_at IS NULL, 'cancelling', state) AS now,"
    " channels, created_at, ended_at, total, is_read, crash, caller FROM dispatch"
)
_ATTEMPTS: Final = (
    "FROM attempt AS a WHERE a.dispatch = d.dispatch AND a.channel = d.channel AND a.key = d.key"
    " AND a.number > d.tries_from"
)
_DELIVERY: Final = (
    "SELECT channel, key, user_id, outcome, reason,"  # noqa: S608 - the text above
    f" iif(outcome = 'pending', (SELECT a.problem {_ATTEMPTS} AND a.problem IS NOT NULL"
    " ORDER BY a.number DESC LIMIT 1), error),"
    f" iif(outcome = 'pending', (SELECT a.provider {_ATTEMPTS} AND a.result IS NOT 'unstarted'"
    " ORDER BY a.number DESC LIMIT 1), provider), provider_message_id,"
    f" iif(outcome = 'pending', (SELECT count(*) {_ATTEMPTS} AND a.result IS NOT 'unstarted'),"
    " attempts), created_at, ended_at FROM delivery AS d WHERE dispatch = (SELECT number FROM"
    " dispatch WHERE id = ?) AND (channel, key) > (?, ?)"
)

_AT_PROVIDER: Final = (
    " AND (provider = ? OR outcome = 'pending' AND EXISTS"
    f" (SELECT 1 {_ATTEMPTS} AND a.result IS NOT 'unstarted' AND a.provider = ?))"
)


class SqliteCalls:
    """Implements `messages.records.PastCalls`; `forget` is the journal's."""

    def __init__(self, reader: SqliteReader, forget: Callable[[int], Awaitable[None]]) -> None:
        self._reader = reader
        self._forget = forget

    async def calls(self, provider: str, since: int) -> Sequence[tuple[int, int]]:
        """See the port."""
        now = time.time_ns() // 1_000_000
        return await self._reader.read(lambda c: past_calls(c, provider, since, now))

    async def forget(self, before: int) -> None:
        """See the port."""
        await self._forget(before)


class SqliteRecords:
    """Implements `messages.records.Records`."""

    def __init__(self, reader: SqliteReader) -> None:
        self._reader = reader

    async def dispatch(self, dispatch_id: str) -> DispatchRecord | None:
        """See the port."""
        return await self._reader.read(lambda c: _dispatch(c, dispatch_id))

    async def dispatches(
        self, state: DispatchState | None, cursor: str, limit: int, prefix: str = ""
    ) -> DispatchPage:
        """See the port."""
        (before,) = place_of(cursor, [_NEWEST])
        return await self._reader.read(
            lambda c: _dispatches(c, state, int(str(before)), limit, prefix)
        )

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
    connection: sqlite3.Connection,
    state: DispatchState | None,
    before: int,
    limit: int,
    prefix: str,
) -> DispatchPage:
    named, values = "", list[str | int | None]()
    if prefix:
        # By the index of ids: those of one prefix are few among many.
        named = " AND number IN (SELECT number FROM dispatch WHERE id >= ? AND id < ?)"
        values += [prefix, ids_after(prefix)]
    rows = connection.execute(
        f"{_DISPATCH} WHERE number < ? AND (? IS NULL OR now = ?){named}"
        " ORDER BY number DESC LIMIT ?",
        (before, state, state, *values, limit),
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
    total: int | None,
    is_read: int,
    reason: str | None,
    caller: str,
) -> DispatchRecord:
    names = tuple(channels.split(","))
    rows = connection.execute(
        "SELECT channel, outcome, count(*) FROM delivery WHERE dispatch = ? GROUP BY 1, 2",
        (number,),
    ).fetchall()
    counts, read = Counter[str](), Counter[str]()
    for channel, outcome, found in rows:
        counts[outcome] += found
        read[channel] += found
    return DispatchRecord(
        identity,
        state,
        names,
        dict(counts),
        created_at,
        ended_at,
        audience_record(
            names, read, total, complete=bool(is_read) or _is_read(connection, number, names)
        ),
        reason,
        caller,
    )


def _is_read(connection: sqlite3.Connection, number: int, channels: Sequence[str]) -> bool:
    """Whether the audience of a dispatch that goes on has been read to its end."""
    query = "SELECT count(*) FROM progress WHERE dispatch = ? AND is_read"
    (read,) = connection.execute(query, (number,)).fetchone()
    return bool(read == len(channels))


def _deliveries(
    connection: sqlite3.Connection,
    dispatch_id: str,
    wanted: RecordFilter,
    after: tuple[str, str],
    limit: int,
) -> RecordPage:
    where, values = conditions(replace(wanted, provider=None))
    if wanted.provider is not None:
        where += _AT_PROVIDER
        values += [wanted.provider] * 2
    rows = connection.execute(
        f"{_DELIVERY}{where} ORDER BY channel, key LIMIT ?",
        (dispatch_id, *after, *values, limit),
    ).fetchall()
    following = cursor_of(rows[-1][0], rows[-1][1]) if len(rows) == limit else None
    return RecordPage([_delivery(dispatch_id, *row) for row in rows], following)


def _delivery(dispatch_id: str, channel: Channel, key: str, *rest: object) -> DeliveryRecord:
    return DeliveryRecord(delivery_id(dispatch_id, channel, key), channel, *rest)  # type: ignore[arg-type]  # as the columns stand
