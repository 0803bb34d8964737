"""The journal's dispatches in SQL: how one begins, gets on, ends, begins again and is forgotten."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Final, TypeVar

from carillon.messages.model import Channel, Outcome, Reason
from carillon.messages.ports.journal import AttemptEnd, DispatchEnd, NewDispatch, Progress
from carillon.messages.ports.records import RecordFilter
from carillon.stores.sqlite.journal.batch import Outcomes, Starts
from carillon.stores.sqlite.reading import conditions

R = TypeVar("R", bound=tuple[str | int, ...])

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

Ending = tuple[int, Channel, int, int, Outcome, Reason, str, int, str]
"""What final rows share: the number of their dispatch, channel, when they were enrolled and ended,
outcome, reason, provider, attempts and error."""

_INSERT: Final = (
    "INSERT INTO delivery (created_at, dispatch, channel, key, user_id, outcome)"
    " SELECT ?, ?, ?, column1, column2, 'pending' FROM (VALUES {}) WHERE typeof(column1) = 'text'"
)
_FINAL: Final = (
    "INSERT INTO delivery (dispatch, channel, created_at, ended_at, outcome, reason, provider,"
    " attempts, error, key, user_id, provider_message_id)"
    " SELECT ?, ?, ?, ?, ?, ?, nullif(?, ''), ?, nullif(?, ''), column1, column2,"
    " nullif(column3, '') FROM (VALUES {}) WHERE typeof(column1) = 'text'"
)
_START: Final = (
    "INSERT OR REPLACE INTO attempt (started_at, dispatch, channel, number, provider, key)"
    " SELECT ?, ?, ?, ?, ?, column1 FROM (VALUES {}) WHERE typeof(column1) = 'text'"
)
_END: Final = (
    "UPDATE attempt SET ended_at = ?, result = ?, problem = nullif(column5, '') FROM (VALUES {})"
    " WHERE dispatch = column1 AND channel = column2 AND key = column3 AND number = column4"
    " AND result IS NULL"
)
_UPDATE: Final = (
    "UPDATE delivery SET ended_at = ?, outcome = ?, reason = ?, provider = nullif(?, ''),"
    " attempts = ?, error = nullif(?, ''), provider_message_id = nullif(column4, '')"
    " FROM (VALUES {}) WHERE dispatch = column1 AND channel = column2 AND key = column3"
)


def enrol(
    connection: sqlite3.Connection,
    number: int,
    channel: Channel,
    rows: Sequence[tuple[str, str]],
    now: int,
) -> list[bool]:
    """Write pending deliveries of a dispatch, by key and user; tells which are new."""
    new: list[bool] = []
    head = (now, number, channel)
    for part in _parts(rows):
        try:
            _execute(connection, _rows(_INSERT, 2, _places(part)), head, part)
            new += [True] * len(part)
        except sqlite3.IntegrityError:  # one is known; SQLite took back the whole statement
            unless_known = _rows(_INSERT, 2, 1) + " ON CONFLICT DO NOTHING"
            new += [_execute(connection, unless_known, head, [row]) == 1 for row in part]
    return new


def highest_key(connection: sqlite3.Connection, number: int, channel: Channel) -> str:
    """The highest key of the deliveries of a dispatch on a channel; "" if there are none."""
    query = "SELECT coalesce(max(key), '') FROM delivery WHERE dispatch = ? AND channel = ?"
    (found,) = connection.execute(query, (number, channel)).fetchone()
    return str(found)


def write_final(
    connection: sqlite3.Connection, ending: Ending, rows: Sequence[tuple[str, str, str]]
) -> None:
    """Write deliveries that have ended and are in no table yet, by key, user and message id."""
    for part in _parts(rows):
        _execute(connection, _rows(_FINAL, 3, _places(part)), ending, part)


def record(connection: sqlite3.Connection, ended: Iterable[tuple[int, Outcomes]], now: int) -> None:
    """Write outcomes, each with the number of its dispatch. A delivery not enrolled stays out.

    Of two of one delivery the later one holds: what was sent may be put in doubt at once.
    """
    alike: dict[_Row, list[_Row]] = {}
    seen: set[_Row] = set()
    for number, one in ended:
        ending: _Row = (now, one.outcome, one.reason, one.provider or "", one.attempts, one.error)
        rows = [(number, one.channel, *texts) for texts in dict(one.pairs()).items()]
        places = {row[:3] for row in rows}
        if not seen.isdisjoint(places):
            _record(connection, alike)
            alike, seen = {}, set()
        alike.setdefault(ending, []).extend(rows)
        seen |= places
    _record(connection, alike)


def _record(connection: sqlite3.Connection, alike: Mapping[_Row, Sequence[_Row]]) -> None:
    for ending, ended in alike.items():
        for part in _parts(ended):
            _execute(connection, _rows(_UPDATE, 4, _places(part)), ending, part)


def start(connection: sqlite3.Connection, started: Iterable[tuple[int, Starts]], now: int) -> None:
    """Write attempts, each with the number of its dispatch."""
    alike: dict[_Row, list[_Row]] = {}
    for number, one in started:
        head: _Row = (now, number, one.channel, one.number, one.provider)
        alike.setdefault(head, []).extend((key,) for key in one.keys)
    for head, rows in alike.items():
        for part in _parts(rows):
            _execute(connection, _rows(_START, 1, _places(part)), head, part)


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


def _parts(rows: Sequence[R]) -> Iterator[Sequence[R]]:
    return (rows[at : at + MOST_ROWS] for at in range(0, len(rows), MOST_ROWS))


def _places(rows: Sequence[_Row]) -> int:
    """The smallest power of two that is at least the number of rows."""
    return 1 << (len(rows) - 1).bit_length()


def _execute(
    connection: sqlite3.Connection, statement: str, head: _Row, rows: Sequence[_Row]
) -> int:
    """The number of rows written; places without a row get numbers, which no text equals."""
    missing = _places(rows) - len(rows)
    values = [*head, *chain.from_iterable(rows), *(0,) * (missing * len(rows[0]))]
    try:
        return connection.execute(statement, values).rowcount
    except UnicodeEncodeError:  # a provider's answer may hold half a character
        return connection.execute(statement, [_storable(value) for value in values]).rowcount


def _storable(value: _Value) -> _Value:
    return value.encode(errors="replace").decode() if isinstance(value, str) else value
