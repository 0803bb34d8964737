"""Moves an embedded store into a MongoDB: all of it, and only one of the two is ever used.

The MongoDB is marked as being filled until everything is there; no service starts on it meanwhile.
Then the embedded store is marked as moved, which ends its use, and only then the MongoDB as whole.
A move that was interrupted is restarted, or completed, by running it again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import sleep
from typing import Final

import pymongo
from bson.errors import BSONError
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError, PyMongoError

from carillon.messages.model import Channel, Document
from carillon.stores.errors import StoreError
from carillon.stores.mongodb.capacity import put, text_of
from carillon.stores.mongodb.client import ABOUT, FILLED, Database, Indexes, Stored, prepare, reason
from carillon.stores.mongodb.handovers import HANDOVER_INDEXES, HANDOVERS
from carillon.stores.mongodb.importer import check_document, import_documents
from carillon.stores.mongodb.journal.dispatches import KEY_INDEXES, KEYS, key_name
from carillon.stores.mongodb.live_settings import AUDIT, OVERRIDES, SETTINGS_INDEXES
from carillon.stores.mongodb.outbox import EVENTS, OUTBOX_INDEXES
from carillon.stores.mongodb.replicas import BEAT, REPLICAS
from carillon.stores.mongodb.schema import (
    ATTEMPTS,
    DELIVERIES,
    DISPATCHES,
    ENDINGS,
    JOURNAL_INDEXES,
    attempt_id,
    ending_id,
    packed,
    parts,
    row_id,
    storable,
)
from carillon.stores.mongodb.url import MongoUrl
from carillon.stores.sqlite.database import transaction
from carillon.stores.sqlite.directory import list_documents

_BY: Final = "moved"
"""The writer's name in each row; no living replica has it, so the dispatches are taken up."""
_INDEXES: Final[Indexes] = {
    **JOURNAL_INDEXES,
    **KEY_INDEXES,
    **OUTBOX_INDEXES,
    **HANDOVER_INDEXES,
    **SETTINGS_INDEXES,
}
_FILLED: Final = (
    DISPATCHES,
    DELIVERIES,
    ATTEMPTS,
    ENDINGS,
    KEYS,
    EVENTS,
    HANDOVERS,
    OVERRIDES,
    AUDIT,
)
_AT_ONCE: Final = 500
_SECONDS: Final = 60.0
_KEPT: Final = timedelta(days=366)
"""For which an idempotency key stays: its age decides, wherever one is looked up."""

Row = tuple[object, ...]
Show = Callable[[int, int], None]
"""Called with the number of rows copied, and of how many."""


Boards = Mapping[str, Callable[[str], str]]
"""By provider, what its board says then, given what it says: the calls and pauses that count."""


def move(
    connection: sqlite3.Connection,
    client: MongoClient[Stored],
    url: MongoUrl,
    boards: Boards,
    show: Show,
) -> dict[str, int]:
    """Move a store that is not in use; returns how many documents each collection has.

    Raises:
        StoreError: it has moved elsewhere; the MongoDB is in use, holds another store's journal,
            or cannot be written.
    """
    database: Database = client[url.database]
    source, moved = connection.execute("SELECT hex(store), moved FROM life").fetchone()
    if moved not in {None, str(url)}:
        raise StoreError(f"The store has moved to {moved}, and not to {url}")
    prepare(client, url, _INDEXES, filled=True)
    try:
        with pymongo.timeout(_SECONDS):
            is_done = _claim(database, url, str(source))
        if moved is None:
            if is_done:
                raise StoreError(f"The store {url} holds this store already, and is in use")
            _fill(connection, database, show)
            _write_boards(database, boards)
            _check(connection, database, url)
            with transaction(connection):
                connection.execute("UPDATE life SET moved = ?", (str(url),))
        with pymongo.timeout(_SECONDS):
            whole: Stored = {"$set": {"state": "whole"}}
            database[ABOUT].update_one({"_id": FILLED, "source": source}, whole)
            return {name: database[name].estimated_document_count() for name in _FILLED}
    except (PyMongoError, BSONError) as error:
        raise StoreError(
            f"The store {url} cannot be written: {reason(error)}; say the same again to go on"
        ) from None


def _claim(database: Database, url: MongoUrl, source: str) -> bool:
    """See that this store alone is brought into a database; whether it is there as a whole."""
    about = database[ABOUT]
    found = about.find_one({"_id": FILLED})
    if found is None:
        _refuse_used(database, url)
        with suppress(DuplicateKeyError):
            about.insert_one({"_id": FILLED, "source": source, "state": "filling"})
        found = about.find_one({"_id": FILLED}) or {}
    if found.get("source") != source:
        raise StoreError(f"The store {url} was filled from another store; name another database")
    return found.get("state") != "filling"


def _refuse_used(database: Database, url: MongoUrl) -> None:
    beats = [list(database[REPLICAS].find().sort("_id", 1))]
    if beats[0]:
        sleep(3 * BEAT)
        beats.append(list(database[REPLICAS].find().sort("_id", 1)))
        if beats[0] != beats[1]:
            raise StoreError(
                f"A service runs on the store {url}; stop it, or name another database"
            )
    for name in _FILLED:
        if database[name].find_one({}, {"_id": 1}) is not None:
            raise StoreError(
                f"The store {url} has a journal of its own ({name}); name another database"
            )


def _fill(connection: sqlite3.Connection, database: Database, show: Show) -> None:
    """Write everything, in place of what an interrupted move has written."""
    with pymongo.timeout(10 * _SECONDS):
        for name in _FILLED:
            database[name].delete_many({})
    total, written = sum(_sizes(connection).values()), 0
    for kind in ("user", "template"):
        documents = map(_storable_document, list_documents(connection, kind))
        before = written
        for number in import_documents(database, kind, documents):
            written = before + number
            show(written, total)
    for name, documents_of in _SOURCES.items():
        for part in parts(documents_of(connection), _AT_ONCE):
            with pymongo.timeout(_SECONDS):
                database[name].insert_many(part, ordered=False)
            written += len(part)
            show(min(written, total), total)
    with pymongo.timeout(_SECONDS):
        _set_counters(connection, database)


def _write_boards(database: Database, boards: Boards) -> None:
    """Let every window and quota count what was called before, and pauses go on."""
    for provider, written in boards.items():
        with pymongo.timeout(_SECONDS):
            put(database, provider, written(text_of(database, provider)))


def _storable_document(document: Document) -> Document:
    try:
        check_document(document)
    except ValueError as error:
        raise StoreError(f"The document {document.get('_id')!r} cannot move: {error}") from None
    return document


def _set_counters(connection: sqlite3.Connection, database: Database) -> None:
    for counter, table in (("audit", "audit"), ("events", "event")):
        query = f"SELECT coalesce(max(number), 0) FROM {table}"  # noqa: S608 - one of two names
        (last,) = connection.execute(query).fetchone()
        at_least: Stored = {"$max": {"last": last}}
        database[ABOUT].update_one({"_id": counter}, at_least, upsert=True)


def _check(connection: sqlite3.Connection, database: Database, url: MongoUrl) -> None:
    """See that as many documents are there as there are rows."""
    for name, number in _sizes(connection).items():
        if name in _FILLED:
            with pymongo.timeout(10 * _SECONDS):
                found = database[name].count_documents({})
            if found != number:
                raise StoreError(
                    f"The store {url} has {found:,} {name} and not {number:,}; say the same again"
                )


def _sizes(connection: sqlite3.Connection) -> dict[str, int]:
    """How many documents of each collection there will be."""
    tables = {
        DISPATCHES: "dispatch",
        DELIVERIES: "delivery",
        ATTEMPTS: "attempt",
        ENDINGS: "delivery WHERE outcome <> 'pending'",
        KEYS: "idempotency",
        EVENTS: "event",
        HANDOVERS: "handover",
        OVERRIDES: "provider_override",
        AUDIT: "audit",
        "user": "user",
        "template": "template",
    }
    return {
        name: int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - names of ours
        for name, table in tables.items()
    }


def _dispatches(connection: sqlite3.Connection) -> Iterator[Stored]:
    # Without the place where reading goes on: the two directories count differently. Whoever is
    # read again is on record, and not sent to.
    names = ("caller", "total", "endsAs", "reason")
    for (
        identity,
        channels,
        state,
        created_at,
        ended_at,
        counts,
        request,
        is_read,
        *more,
    ) in connection.execute(
        "SELECT id, channels, state, created_at, ended_at, counts, CAST(text AS BLOB), is_read,"
        " caller, total, ends_as, crash"
        " FROM dispatch LEFT JOIN request ON request.dispatch = number ORDER BY number"
    ):
        document: Stored = {
            "_id": identity,
            "by": _BY,
            "state": state,
            "channels": channels.split(","),
            "createdAt": created_at,
            "round": 0,
            "isRead": bool(is_read),
        }
        document |= {name: one for name, one in zip(names, more, strict=True) if one is not None}
        if request is not None:
            document["request"] = packed(request.decode(errors="replace"))
        if ended_at is None:
            document["owner"] = _BY
        else:
            document |= {"endedAt": ended_at, "counts": json.loads(counts or "{}")}
        yield document


def _deliveries(connection: sqlite3.Connection) -> Iterator[Stored]:
    for row, ending in _rows(connection):
        if ending is not None:
            for name in ("outcome", "reason", "provider", "attempts", "endedAt", "ending"):
                row[name] = ending[name]
        yield row


def _endings(connection: sqlite3.Connection) -> Iterator[Stored]:
    return (ending for _, ending in _rows(connection) if ending is not None)


def _rows(connection: sqlite3.Connection) -> Iterator[tuple[Stored, Stored | None]]:
    """Each delivery as it began, and how it ended."""
    for row in connection.execute(
        "SELECT p.id, channel, key, user_id, d.created_at, tries_from, attempts, outcome, reason,"
        " error, provider, provider_message_id, d.ended_at"
        " FROM delivery AS d JOIN dispatch AS p ON p.number = d.dispatch"
        " ORDER BY d.dispatch, channel, key"
    ):
        yield _delivery(*row[:6]), _ending(row[:3], *row[6:])


def _delivery(
    dispatch_id: str,
    channel: Channel,
    key: str,
    user_id: str,
    created_at: int,
    tries_from: int,
) -> Stored:
    document: Stored = {
        "_id": row_id(dispatch_id, channel, key),
        "by": _BY,
        "dispatch": dispatch_id,
        "channel": channel,
        "userId": storable(user_id),
        "outcome": "pending",
        "createdAt": created_at,
    }
    return document | {"triesFrom": tries_from} if tries_from else document


def _ending(
    named: tuple[str, Channel, str],
    attempts: int,
    outcome: str,
    reason: str | None,
    error: str | None,
    provider: str | None,
    message_id: str | None,
    ended_at: int | None,
) -> Stored | None:
    if outcome == "pending":
        return None
    row = row_id(*named)
    return {
        "_id": ending_id(row, 0),
        "by": _BY,
        "delivery": row,
        "ending": "0",
        "outcome": outcome,
        "reason": reason,
        "error": storable(error or ""),
        "provider": provider,
        "providerMessageId": None if message_id is None else storable(message_id),
        "attempts": attempts,
        "endedAt": ended_at,
    }


def _attempts(connection: sqlite3.Connection) -> Iterator[Stored]:
    for (
        dispatch_id,
        channel,
        key,
        number,
        provider,
        started_at,
        ended_at,
        result,
        problem,
    ) in connection.execute(
        "SELECT p.id, channel, key, a.number, provider, started_at, a.ended_at, result, problem"
        " FROM attempt AS a JOIN dispatch AS p ON p.number = a.dispatch"
    ):
        row = row_id(dispatch_id, channel, key)
        document: Stored = {
            "_id": attempt_id(row, number),
            "by": _BY,
            "delivery": row,
            "number": number,
            "provider": provider,
            "startedAt": started_at,
        }
        if result is not None:
            document |= {"result": result, "endedAt": ended_at}
        if problem is not None:
            document["error"] = storable(problem)
        yield document


def _keys(connection: sqlite3.Connection) -> Iterator[Stored]:
    for caller, route, key, fingerprint, created_at, dispatch_id in connection.execute(
        "SELECT i.caller, route, key, fingerprint, i.created_at, id FROM idempotency AS i"
        " JOIN dispatch ON number = i.dispatch"
    ):
        yield {
            "_id": key_name(caller, route, key),
            "by": dispatch_id,
            "dispatch": dispatch_id,
            "fingerprint": fingerprint,
            "at": created_at,
            "expires": datetime.fromtimestamp(created_at / 1000, UTC) + _KEPT,
        }


def _events(connection: sqlite3.Connection) -> Iterator[Stored]:
    names = ("_id", "saga", "label", "payload", "dispatch", "state", "attempts", "createdAt")
    optional = ("error", "dueAt", "endedAt", "refusal")
    for *row, since, number, error, due_at, ended_at, refusal in connection.execute(
        "SELECT id, saga, label, payload, dispatch, state, attempts, created_at, since, number,"
        " error, due_at, ended_at, refusal FROM event"
    ):
        document: Stored = dict(zip(names, row, strict=True))
        document |= {"by": _BY, "since": since, "number": number}
        for name, value in zip(optional, (error, due_at, ended_at, refusal), strict=True):
            if value is not None:
                document[name] = value
        yield document


def _handovers(connection: sqlite3.Connection) -> Iterator[Stored]:
    names = ("_id", "by", "channel", "provider", "key", "userId", "at")
    query = "SELECT delivery, dispatch, channel, provider, key, user_id, at FROM handover"
    return _named(names, connection.execute(query))


def _overrides(connection: sqlite3.Connection) -> Iterator[Stored]:
    query = (
        "SELECT provider, settings, (SELECT coalesce(max(number), 0) FROM audit)"
        " FROM provider_override"
    )
    return _named(("_id", "settings", "last"), connection.execute(query))


def _audit(connection: sqlite3.Connection) -> Iterator[Stored]:
    names = ("_id", "at", "who", "action", "provider", "before", "after")
    query = "SELECT number, at, who, action, provider, before, after FROM audit"
    return _named(names, connection.execute(query))


def _named(names: Sequence[str], rows: Iterable[Row]) -> Iterator[Stored]:
    return (dict(zip(names, row, strict=True)) for row in rows)


_SOURCES: Final[dict[str, Callable[[sqlite3.Connection], Iterator[Stored]]]] = {
    # What makes a delivery count comes last, as it is written by a service.
    AUDIT: _audit,
    OVERRIDES: _overrides,
    HANDOVERS: _handovers,
    EVENTS: _events,
    ENDINGS: _endings,
    ATTEMPTS: _attempts,
    DELIVERIES: _deliveries,
    KEYS: _keys,
    DISPATCHES: _dispatches,
}
