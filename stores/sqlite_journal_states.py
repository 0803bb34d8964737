"""The journal's dispatches in SQL: how one begins, gets on, ends, begins again and is forgotten."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Final

from carillon.messages.model import Outcome
from carillon.messages.ports.journal import DispatchEnd, NewDispatch, Progress
from carillon.messages.ports.records import RecordFilter
from carillon.stores.sqlite_filter import conditions

_LONG: Final = 65_536
"""Characters of a request that are worth a statement of their own."""
_KEEP: Final = "UPDATE request SET text = CAST(? AS TEXT) WHERE dispatch = ?"


def find_dispatch(connection: sqlite3.Connection, dispatch_id: str) -> int:
    """The number of a dispatch, from 1 on; 0 when there is none with this id."""
    query = "SELECT number FROM dispatch WHERE id = ?"
    row = connection.execute(query, (dispatch_id,)).fetchone()
    return 0 if row is None else int(row[0])


def open_dispatch(connection: sqlite3.Connection, dispatch: NewDispatch, now: int) -> int:
    """Write a new dispatch; gives its number."""
    (number,) = connection.execute(
        "INSERT INTO dispatch (id, channels, state, created_at, caller, total, is_read)"
        " VALUES (?, ?, 'running', ?, ?, ?, ?) RETURNING number",
        (
            dispatch.id,
            ",".join(dispatch.channels),
            now,
            dispatch.caller,
            dispatch.total,
            dispatch.is_read,
        ),
    ).fetchone()
    is_long = len(dispatch.request) > _LONG
    connection.execute(
        "INSERT INTO request VALUES (?, CAST(? AS TEXT))",
        (number, "" if is_long else dispatch.request),
    )
    if is_long:
        _keep_request(connection, number, dispatch.request)
    if (key := dispatch.key) is not None:
        connection.execute(
            "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?)",
            (key.caller, key.route, key.key, key.fingerprint, number, now),
        )
    return int(number)


def _keep_request(connection: sqlite3.Connection, number: int, text: str | bytes) -> None:
    connection.execute(_KEEP, (text, number))
    if len(text) > _LONG:
        # A statement is kept for the next time, and with it a copy of what it was given last.
        connection.execute(_KEEP, ("", 0))


def advance(connection: sqlite3.Connection, number: int, progress: Progress) -> None:
    """Write where reading the audience goes on."""
    cursor = progress.cursor
    connection.execute(
        "INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?)",
        (number, progress.channel, cursor.position, cursor.after, progress.is_read),
    )


def close_dispatch(
    connection: sqlite3.Connection,
    number: int,
    counts: Mapping[Outcome, int],
    kept: str | bytes | None,
    end: DispatchEnd,
    now: int,
) -> None:
    """Write the end of a dispatch, and erase what only going on needs."""
    ends_as = "done" if end.crash is None else "crashed"
    connection.execute(
        "UPDATE dispatch SET state = iif(state = 'running', coalesce(ends_as, ?), state),"
        " is_read = iif(ends_as IS NULL, max(is_read, ?), is_read), ends_as = NULL,"
        " crash = coalesce(?, crash), ended_at = ?, counts = ? WHERE number = ?",
        (ends_as, end.is_read, end.crash, now, json.dumps(counts), number),
    )
    if kept is None:
        connection.execute("DELETE FROM request WHERE dispatch = ?", (number,))
    else:
        _keep_request(connection, number, kept)


def cancel_dispatch(connection: sqlite3.Connection, number: int) -> None:
    """Write that nothing more of a dispatch may start, unless it has ended."""
    connection.execute(
        "UPDATE dispatch SET state = 'cancelled' WHERE number = ? AND ended_at IS NULL", (number,)
    )


def redrive(connection: sqlite3.Connection, number: int, wanted: RecordFilter) -> int:
    """Make ended deliveries pending again and their dispatch running; how many there were."""
    where, values = conditions(wanted)
    done = connection.execute(
        "UPDATE delivery SET outcome = 'pending', reason = NULL, error = NULL, provider = NULL,"  # noqa: S608 - conditions() gives names of columns and places
        " provider_message_id = NULL, ended_at = NULL, tries_from = (SELECT coalesce(max(number),"
        " 0) FROM attempt WHERE attempt.dispatch = delivery.dispatch AND attempt.channel ="
        " delivery.channel AND attempt.key = delivery.key)"
        f" WHERE dispatch = ? AND outcome NOT IN ('sent', 'pending'){where}",
        (number, *values),
    )
    if done.rowcount:
        connection.execute(
            "UPDATE dispatch SET state = 'running', ended_at = NULL,"
            " ends_as = nullif(state, 'done') WHERE number = ?",
            (number,),
        )
    return done.rowcount


def retire(connection: sqlite3.Connection, before: int, most: int) -> bool:
    """Erase at most so many rows of what ended before a time; whether some of it is left."""
    oldest = connection.execute(
        "SELECT number FROM dispatch WHERE ended_at < ? ORDER BY ended_at LIMIT 1", (before,)
    ).fetchone()
    if oldest is None:
        return False
    for table in ("attempt", "delivery"):
        done = connection.execute(
            f"DELETE FROM {table} WHERE (dispatch, channel, key) IN"  # noqa: S608 - one of two names
            f" (SELECT dispatch, channel, key FROM {table} WHERE dispatch = ? LIMIT ?)",
            (*oldest, most),
        )
        if done.rowcount:
            return True
    for table in ("progress", "request", "idempotency"):
        connection.execute(f"DELETE FROM {table} WHERE dispatch = ?", oldest)  # noqa: S608 - one of three names
    connection.execute("DELETE FROM dispatch WHERE number = ?", oldest)
    return True
