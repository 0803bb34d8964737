"""What the embedded journal tells of dispatches and deliveries."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import trio

from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import CHANNELS, Channel, Cursor, delivery_id
from carillon.messages.ports.records import (
    DeliveryRecord,
    DispatchPage,
    DispatchRecord,
    DispatchState,
    PastAttempt,
    Pending,
    RecordFilter,
    RecordPage,
    Remembered,
    Unfinished,
    audience_record,
)
from carillon.stores.cursors import cursor_of, ids_after, place_of
from carillon.stores.sqlite.calls import past_calls
from carillon.stores.sqlite.database import connect

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
            with suppress(JournalUnavailable):  # what was durable before can still be read
                await self._flush()
        try:
            return await trio.to_thread.run_sync(run, self._connection, limiter=self._limiter)
        except sqlite3.Error as error:
            raise JournalUnavailable(f"The journal cannot be read: {error}") from None


def conditions(wanted: RecordFilter) -> tuple[str, list[str]]:
    """Conditions, each begun with AND, and the values for their places."""
    text, values = "", list[str]()
    for column, found in (("outcome", wanted.outcomes), ("reason", wanted.reasons)):
        if found:
            text += f" AND {column} IN ({', '.join('?' * len(found))})"
            values += found
    for column, value in (
        ("channel", wanted.channel),
        ("user_id", wanted.user_id),
        ("provider", wanted.provider),
    ):
        if value is not None:
            text += f" AND {column} = ?"
            values.append(value)
    return text, values


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
    """Implements `messages.ports.records.PastCalls`; `forget` is the journal's."""

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
    """Implements `messages.ports.records.Records`."""

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


_UNFINISHED: Final = (
    "SELECT number, id, channels, state, caller FROM dispatch WHERE ended_at IS NULL"
)


class SqliteRecovery:
    """Implements `messages.ports.records.Recovery`."""

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
