"""Reading the journal: what became of a dispatch, and of each of its deliveries."""

from __future__ import annotations

import json
import sqlite3
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import trio

from messages.errors import BadCommand, JournalUnavailable
from messages.model import Channel, delivery_id
from messages.ports import DeliveryRecord, DispatchRecord, RecordFilter, RecordPage
from stores.sqlite import connect

T = TypeVar("T")


class SqliteRecords:
    """Implements `messages.ports.Records`, beside the writer and never in its way.

    `flush` makes durable what was handed over: a caller may ask for what was just answered.
    """

    def __init__(self, path: Path, flush: Callable[[], Awaitable[None]]) -> None:
        self._connection = connect(path)
        self._flush = flush
        self._limiter = trio.CapacityLimiter(1)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def dispatch(self, dispatch_id: str) -> DispatchRecord | None:
        """See the port."""
        return await self._read(lambda c: _dispatch(c, dispatch_id))

    async def deliveries(
        self, dispatch_id: str, wanted: RecordFilter, cursor: str, limit: int
    ) -> RecordPage:
        """See the port."""
        after = _place(cursor)
        return await self._read(lambda c: _deliveries(c, dispatch_id, wanted, after, limit))

    async def _read(self, run: Callable[[sqlite3.Connection], T]) -> T:
        with suppress(JournalUnavailable):  # what was durable before can still be told
            await self._flush()
        try:
            return await trio.to_thread.run_sync(run, self._connection, limiter=self._limiter)
        except sqlite3.Error as error:
            raise JournalUnavailable(f"The journal cannot be read: {error}") from None


def _dispatch(connection: sqlite3.Connection, dispatch_id: str) -> DispatchRecord | None:
    row = connection.execute(
        "SELECT number, state, channels, created_at, ended_at FROM dispatch WHERE id = ?",
        (dispatch_id,),
    ).fetchone()
    if row is None:
        return None
    number, state, channels, created_at, ended_at = row
    counts = connection.execute(
        "SELECT outcome, count(*) FROM delivery WHERE dispatch = ? GROUP BY outcome",
        (number,),
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
    connection: sqlite3.Connection,
    dispatch_id: str,
    wanted: RecordFilter,
    after: tuple[str, str],
    limit: int,
) -> RecordPage:
    conditions = [
        "dispatch = (SELECT number FROM dispatch WHERE id = ?)",
        "(channel, key) > (?, ?)",
    ]
    values: list[str] = [dispatch_id, *after]
    if wanted.outcomes:
        conditions.append(f"outcome IN ({', '.join('?' * len(wanted.outcomes))})")
        values += wanted.outcomes
    for column, value in (("channel", wanted.channel), ("user_id", wanted.user_id)):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    rows = connection.execute(
        "SELECT channel, key, user_id, outcome, reason, error, provider, provider_message_id,"  # noqa: S608
        " attempts, created_at, ended_at FROM delivery"
        f" WHERE {' AND '.join(conditions)} ORDER BY channel, key LIMIT ?",
        (*values, limit),
    ).fetchall()
    following = _cursor(rows[-1][0], rows[-1][1]) if len(rows) == limit else None
    return RecordPage([_delivery(dispatch_id, *row) for row in rows], following)


def _delivery(dispatch_id: str, channel: Channel, key: str, *rest: object) -> DeliveryRecord:
    return DeliveryRecord(delivery_id(dispatch_id, channel, key), channel, *rest)  # type: ignore[arg-type]  # as the columns stand


def _cursor(channel: str, key: str) -> str:
    return urlsafe_b64encode(json.dumps([channel, key]).encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[str, str]:
    if not cursor:
        return "", ""
    try:
        channel, key = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError):
        raise BadCommand("cursor must be the next of an earlier answer") from None
    return str(channel), str(key)
