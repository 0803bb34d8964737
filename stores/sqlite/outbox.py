"""The events of sagas in the embedded store, beside the journal's writers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import trio

from carillon.messages.errors import JournalUnavailable
from carillon.messages.ports.outbox import (
    LONGEST_REST,
    Due,
    DueEvent,
    EventPage,
    EventRecord,
    EventState,
    SagaEvent,
)
from carillon.stores.cursors import ids_after, number_in
from carillon.stores.sqlite.database import changed, connect, transaction
from carillon.stores.sqlite.mark import HostMark

T = TypeVar("T")
RETIRED_AT_ONCE: Final = 500

_ADD: Final = (
    "INSERT INTO event (id, saga, label, payload, dispatch, state, attempts, created_at, since,"
    " due_at, refusal) VALUES (?1, ?2, ?3, ?4, ?5, 'pending', 0, ?6, ?6, ?6, ?7)"
    " ON CONFLICT (id) DO NOTHING"
)
_DUE: Final = (
    "SELECT id, saga, label, payload, dispatch, attempts, since FROM event AS one"
    " WHERE state = 'pending' AND (due_at <= ? OR due_at > ?)"
    " AND NOT EXISTS (SELECT 1 FROM event AS earlier"
    "  WHERE earlier.state = 'pending' AND earlier.saga = one.saga"
    "  AND earlier.number < one.number)"
    " ORDER BY due_at LIMIT ?"
)
_NEXT: Final = (
    "SELECT min(due_at) FROM event INDEXED BY event_due"
    " WHERE state = 'pending' AND due_at > ? AND due_at <= ?"
)
_ACCEPTED: Final = (
    "UPDATE event SET state = 'accepted', attempts = attempts + 1, error = NULL, due_at = NULL,"
    " ended_at = ? WHERE id = ? AND state = 'pending'"
)
_POSTPONED: Final = (
    "UPDATE event SET attempts = attempts + 1, due_at = ?1, since = min(since, ?1), error = ?2"
    " WHERE id = ?3 AND state = 'pending'"
)
_PARKED: Final = (
    "UPDATE event SET state = 'parked', attempts = attempts + 1, due_at = NULL, ended_at = ?,"
    " error = ? WHERE id = ? AND state = 'pending'"
)
_AGAIN: Final = (
    "UPDATE event SET state = 'pending', attempts = 0, since = ?1, due_at = ?1, ended_at = NULL"
    " WHERE id = ?2"
)
_SHOWN: Final = (
    "id, saga, label, dispatch, state, attempts, error, created_at, due_at, ended_at, refusal"
)
_RETIRE: Final = (
    "DELETE FROM event WHERE number IN"
    " (SELECT number FROM event WHERE state = 'accepted' AND ended_at < ? LIMIT ?)"
)


class SqliteOutbox:
    """Implements `messages.ports.outbox.Outbox`."""

    def __init__(self, path: Path, mark: HostMark | None = None) -> None:
        """`mark` records each write: a copy that lacks one is older than what was posted."""
        self._mark = mark
        self._connection = connect(path)
        self._limiter = trio.CapacityLimiter(1)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def add(self, event: SagaEvent, now: int) -> bool:
        """See the port."""
        payload = json.dumps(event.payload)
        values = (
            event.id,
            event.key,
            event.label,
            payload,
            event.dispatch_id,
            now,
            event.refusal,
        )
        return await self._write(_ADD, values) == 1

    async def due(self, now: int, limit: int) -> Due:
        """See the port."""
        return await self._do(lambda c: _due(c, now, limit), "read")

    async def accepted(self, event_id: str, now: int) -> None:
        """See the port."""
        await self._write(_ACCEPTED, (now, event_id))

    async def postponed(self, event_id: str, until: int, error: str) -> None:
        """See the port."""
        await self._write(_POSTPONED, (until, error, event_id))

    async def parked(self, event_id: str, now: int, error: str) -> None:
        """See the port."""
        await self._write(_PARKED, (now, error, event_id))

    async def find(self, event_id: str) -> EventRecord | None:
        """See the port."""
        return await self._do(lambda c: _find(c, event_id), "read")

    async def events(
        self, state: EventState | None, cursor: str, limit: int, prefix: str = ""
    ) -> EventPage:
        """See the port."""
        before = number_in(cursor)
        return await self._do(lambda c: _events(c, state, before, limit, prefix), "read")

    async def again(self, event_id: str, now: int) -> bool:
        """See the port."""
        return await self._write(_AGAIN, (now, event_id)) == 1

    async def retire(self, before: int) -> bool:
        """See the port."""
        return await self._write(_RETIRE, (before, RETIRED_AT_ONCE)) == RETIRED_AT_ONCE

    async def _write(self, statement: str, values: tuple[str | int | None, ...]) -> int:
        """The number of rows written."""
        rows, revision = await self._do(lambda c: _written(c, statement, values), "written")
        if self._mark is not None:
            self._mark.committed(revision)
        return rows

    async def _do(self, run: Callable[[sqlite3.Connection], T], what: str) -> T:
        try:
            return await trio.to_thread.run_sync(run, self._connection, limiter=self._limiter)
        except sqlite3.Error as error:
            raise JournalUnavailable(f"The outbox cannot be {what}: {error}") from None


def _written(
    connection: sqlite3.Connection, statement: str, values: tuple[str | int | None, ...]
) -> tuple[int, int]:
    """The number of rows, and that of the commit."""
    with transaction(connection):
        return connection.execute(statement, values).rowcount, changed(connection)


def _due(connection: sqlite3.Connection, now: int, limit: int) -> Due:
    farthest = now + LONGEST_REST
    rows = connection.execute(_DUE, (now, farthest, limit)).fetchall()
    (following,) = connection.execute(_NEXT, (now, farthest)).fetchone()
    return Due([_due_event(*row) for row in rows], following)


def _due_event(
    identity: str,
    saga: str,
    label: str,
    payload: str,
    dispatch: str | None,
    attempts: int,
    since: int,
) -> DueEvent:
    event = SagaEvent(identity, saga, label, json.loads(payload), dispatch)
    return DueEvent(event, attempts, since)


def _find(connection: sqlite3.Connection, event_id: str) -> EventRecord | None:
    row = connection.execute(f"SELECT {_SHOWN} FROM event WHERE id = ?", (event_id,)).fetchone()  # noqa: S608
    return None if row is None else EventRecord(*row)


def _events(
    connection: sqlite3.Connection,
    state: EventState | None,
    before: int | None,
    limit: int,
    prefix: str,
) -> EventPage:
    conditions, values = ["TRUE"], list[str | int]()
    for condition, value in (
        ("state = ?", state),
        ("number < ?", before),
        ("id >= ?", prefix or None),
        ("id < ?", ids_after(prefix) if prefix else None),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    rows = connection.execute(
        f"SELECT number, {_SHOWN} FROM event"  # noqa: S608
        f" WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT ?",
        (*values, limit),
    ).fetchall()
    following = str(rows[-1][0]) if len(rows) == limit else None
    return EventPage([EventRecord(*row[1:]) for row in rows], following)
