"""The journal's rows in SQL: one statement for all rows of a commit, however many there are.

Beside a busy loop the number of statements is what counts, not what they do: sqlite3 gives the GIL
away and takes it back some five times in each, and each time the writer waits for the loop and
wakes it. Row by row, 100 enrolments and 100 outcomes kept the writer for 8 ms and took 19 µs a
message of the loop; with one statement for each it is 4 ms and 8 µs.

Rows are `VALUES` with parameters and not `json_each`: that took twice the CPU, and JSON in SQLite
ends a text at its first NUL. There is a statement for each power of two, so that few are compiled
and all stay compiled; what is left over is filled up with rows of zeros, which are no rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Final

from carillon.messages.model import Receipt
from carillon.messages.ports.journal import AttemptEnd, AttemptStart, Enrolment

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
    """Write outcomes, each with the number of its dispatch. A delivery not enrolled stays out."""
    alike: dict[_Row, list[_Row]] = {}
    for number, one in rows:
        ending: _Row = (now, one.outcome, one.reason, one.provider or "", one.attempts)
        row: _Row = (number, one.channel, one.key, one.error, one.provider_message_id or "")
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
    """The power of two that so many rows fit in."""
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
