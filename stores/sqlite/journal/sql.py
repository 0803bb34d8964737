"""The journal's dispatches in SQL: how one begins, gets on, ends, begins again and is forgotten."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Final

from carillon.messages.model import Outcome, Receipt
from carillon.messages.ports.journal import (
    AttemptEnd,
    AttemptStart,
    DispatchEnd,
    Enrolment,
    NewDispatch,
    Progress,
)
from carillon.messages.ports.records import RecordFilter
from carillon.stores.sqlite.reading import conditions

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
    """Erase at most `most` rows of what ended before a time; returns whether some are left."""
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


_Value = str | int
"""Never None, which sqlite3 takes ten times as long to bind: in outcomes "" stands for it."""
_Row = tuple[_Value, ...]

MOST_ROWS: Final = 512
"""Of one statement; every SQLite takes 32,766 parameters."""

_INSERT: Final = (
    "INSERT INTO delivery (created_at, dispatch, channel, key, user_id, outcome)"
    " SELECT ?, column1, column2, column3, column4, 'pending' FROM (VALUES {}) WHERE column1 > 0"
)
_START: Final = (
    "INSERT OR REPLACE INTO attempt (started_at, dispatch, channel, key, number, provider)"
    " SELECT ?, * FROM (VALUES {}) WHERE column1 > 0"
)
_END: Final = (
    "UPDATE attempt SET ended_at = ?, result = ?, problem = nullif(column5, '') FROM (VALUES {})"
    " WHERE dispatch = column1 AND channel = column2 AND key = column3 AND number = column4"
    " AND result IS NULL"
)
_UPDATE: Final = (
    "UPDATE delivery SET ended_at = ?, outcome = ?, reason = ?, provider = nullif(?, ''),"
    " attempts = ?, error = nullif(column4, ''), provider_message_id = nullif(column5, '')"
    " FROM (VALUES {}) WHERE dispatch = column1 AND channel = column2 AND key = column3"
)


def enrol(
    connection: sqlite3.Connection, rows: Sequence[tuple[int, Enrolment]], now: int
) -> list[bool]:
    """Write pending deliveries, each with the number of its dispatch; tells which are new."""
    new: list[bool] = []
    for part in _parts([(number, row.channel, row.key, row.user_id) for number, row in rows]):
        try:
            _execute(connection, _rows(_INSERT, 4, _places(part)), (now,), part)
            new += [True] * len(part)
        except sqlite3.IntegrityError:  # one is known; SQLite took back the whole statement
            unless_known = _rows(_INSERT, 4, 1) + " ON CONFLICT DO NOTHING"
            new += [_execute(connection, unless_known, (now,), [row]) == 1 for row in part]
    return new


def record(connection: sqlite3.Connection, rows: Sequence[tuple[int, Receipt]], now: int) -> None:
    """Write outcomes, each with the number of its dispatch. A delivery not enrolled stays out.

    Of two of one delivery the later one holds: what was sent may be put in doubt at once.
    """
    latest = {(number, one.channel, one.key): one for number, one in rows}
    alike: dict[_Row, list[_Row]] = {}
    for (number, channel, key), one in latest.items():
        ending: _Row = (now, one.outcome, one.reason, one.provider or "", one.attempts)
        row: _Row = (number, channel, key, one.error, one.provider_message_id or "")
        alike.setdefault(ending, []).append(row)
    for ending, ended in alike.items():
        for part in _parts(ended):
            _execute(connection, _rows(_UPDATE, 5, _places(part)), ending, part)


def start(
    connection: sqlite3.Connection, rows: Sequence[tuple[int, AttemptStart]], now: int
) -> None:
    """Write attempts, each with the number of its dispatch."""
    values: list[_Row] = [
        (number, one.channel, one.key, one.number, one.provider) for number, one in rows
    ]
    for part in _parts(values):
        _execute(connection, _rows(_START, 5, _places(part)), (now,), part)


def end(connection: sqlite3.Connection, rows: Sequence[tuple[int, AttemptEnd]], now: int) -> None:
    """Write how attempts ended that did not end their deliveries."""
    alike: dict[str, list[_Row]] = {}
    for number, one in rows:
        row: _Row = (number, one.channel, one.key, one.number, one.error)
        alike.setdefault(one.result, []).append(row)
    for result, ended in alike.items():
        for part in _parts(ended):
            _execute(connection, _rows(_END, 5, _places(part)), (now, result), part)


@cache
def _rows(statement: str, columns: int, places: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return statement.format(", ".join([row] * places))


def _parts(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    return (rows[at : at + MOST_ROWS] for at in range(0, len(rows), MOST_ROWS))


def _places(rows: Sequence[_Row]) -> int:
    """The smallest power of two that is at least the number of rows."""
    return 1 << (len(rows) - 1).bit_length()


def _execute(
    connection: sqlite3.Connection, statement: str, head: _Row, rows: Sequence[_Row]
) -> int:
    """The number of rows written."""
    missing = _places(rows) - len(rows)
    values = [*head, *chain.from_iterable(rows), *(0,) * (missing * len(rows[0]))]
    try:
        return connection.execute(statement, values).rowcount
    except UnicodeEncodeError:  # a provider's answer may hold half a character
        return connection.execute(statement, [_storable(value) for value in values]).rowcount


def _storable(value: _Value) -> _Value:
    return value.encode(errors="replace").decode() if isinstance(value, str) else value
