"""The embedded store: one SQLite file with users, templates, journal, live settings, events.

WAL with synchronous=FULL: a committed write survives a power cut; with NORMAL, which the journal's
writer may be told to use, it survives the death of the process. One constant writer (see
`sqlite_journal`), rare ones beside it (imports, live settings) and any number of readers, each with
a connection of its own.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from carillon.stores.errors import StoreError, StoreInUse, unopened
from carillon.stores.private_files import make_private, open_private, tighten

BUSY_SECONDS: Final = 10.0
BESIDE: Final = ("-wal", "-shm", "-lock", "-log0", "-log1")
"""What the names of the files of a store that stand beside it end in."""

_USERS_AND_JOURNAL: Final = """
CREATE TABLE user (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE template (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- What users are found by: their id field when it is not _id, and their clusters.
CREATE TABLE user_key (
    kind TEXT NOT NULL, value TEXT NOT NULL, user TEXT NOT NULL,
    PRIMARY KEY (kind, value, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_key_by_user ON user_key (user);
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE dispatch (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, channels TEXT NOT NULL,
    state TEXT NOT NULL, created_at INTEGER NOT NULL, ended_at INTEGER, counts TEXT
) STRICT;
-- By key and not by delivery id: users are read in the order of their _id, so neighbours in time
-- share a page. With the id, which is a hash, each write dirtied a page of its own (20 times the
-- bytes, twice the time). The id is derived from dispatch, channel and key.
CREATE TABLE delivery (
    dispatch INTEGER NOT NULL, channel TEXT NOT NULL, key TEXT NOT NULL, user_id TEXT NOT NULL,
    outcome TEXT NOT NULL, reason TEXT, error TEXT, provider TEXT, provider_message_id TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL, ended_at INTEGER,
    PRIMARY KEY (dispatch, channel, key)
) STRICT, WITHOUT ROWID;
"""

_LIVE_SETTINGS: Final = """
CREATE TABLE provider_override (
    provider TEXT PRIMARY KEY, settings TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
    number INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL,
    provider TEXT, before TEXT NOT NULL, after TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_provider ON audit (provider);
"""

_DURABILITY: Final = """
-- What an earlier version left unfinished cannot be taken up: it kept no requests.
UPDATE delivery SET outcome = 'in-doubt', reason = 'unknown-outcome', ended_at = created_at,
    error = 'Outcome unknown: stopped before the service was brought up to date'
    WHERE outcome = 'pending';
UPDATE dispatch SET state = 'done', ended_at = created_at WHERE ended_at IS NULL;
-- Attempts up to this number were made before the delivery was driven again: they do not count.
ALTER TABLE delivery ADD COLUMN tries_from INTEGER NOT NULL DEFAULT 0;
CREATE TABLE request (dispatch INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE progress (
    dispatch INTEGER NOT NULL, channel TEXT NOT NULL, position INTEGER NOT NULL, after TEXT,
    PRIMARY KEY (dispatch, channel)
) STRICT, WITHOUT ROWID;
-- The end of a delivery's last attempt is that of the delivery.
CREATE TABLE attempt (
    dispatch INTEGER NOT NULL, channel TEXT NOT NULL, key TEXT NOT NULL, number INTEGER NOT NULL,
    provider TEXT NOT NULL, started_at INTEGER NOT NULL, ended_at INTEGER, result TEXT,
    PRIMARY KEY (dispatch, channel, key, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE idempotency (
    caller TEXT NOT NULL, route TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL,
    dispatch INTEGER NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (caller, route, key)
) STRICT, WITHOUT ROWID;
-- Up to which group of its redo log the store has it all.
CREATE TABLE redo_log (identity BLOB NOT NULL, applied INTEGER NOT NULL) STRICT;
INSERT INTO redo_log VALUES (randomblob(8), 0);
CREATE INDEX idempotency_by_dispatch ON idempotency (dispatch);
CREATE INDEX dispatch_unfinished ON dispatch (number) WHERE ended_at IS NULL;
CREATE INDEX dispatch_by_end ON dispatch (ended_at) WHERE ended_at IS NOT NULL;
"""

_OUTBOX: Final = """
-- The events of sagas, in the order in which they are posted. due_at is that of pending ones; since
-- is when the present effort began, attempts are its.
CREATE TABLE event (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, saga TEXT NOT NULL, label TEXT NOT NULL,
    payload TEXT NOT NULL, dispatch TEXT, state TEXT NOT NULL, attempts INTEGER NOT NULL,
    error TEXT, created_at INTEGER NOT NULL, since INTEGER NOT NULL, due_at INTEGER,
    ended_at INTEGER
) STRICT;
CREATE INDEX event_due ON event (due_at) WHERE state = 'pending';
CREATE INDEX event_of_saga ON event (saga, number) WHERE state = 'pending';
CREATE INDEX event_by_state ON event (state, number);
CREATE INDEX event_by_end ON event (ended_at) WHERE state = 'accepted';
"""

_HANDOVERS: Final = """
-- What was handed to a provider whose hooks will name the delivery by its id, and nothing else.
CREATE TABLE handover (
    delivery TEXT PRIMARY KEY, dispatch TEXT NOT NULL, channel TEXT NOT NULL,
    provider TEXT NOT NULL, key TEXT NOT NULL, user_id TEXT NOT NULL, at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX handover_by_time ON handover (at);
"""

_LIFE: Final = """
-- Which store this is, for ever; and which of its lives, each from one start to the next, by whose
-- id its log is known. applied is the last group of the log that these tables have, revision counts
-- their commits. A store that is paused sends nothing; one that moved is not used any more.
CREATE TABLE life (
    store BLOB NOT NULL, id BLOB NOT NULL, before BLOB NOT NULL, number INTEGER NOT NULL,
    applied INTEGER NOT NULL, revision INTEGER NOT NULL, paused TEXT, moved TEXT
) STRICT;
INSERT INTO life SELECT identity, identity, identity, 0, applied, 0, NULL, NULL FROM redo_log;
DROP TABLE redo_log;
"""

_WHOLE_STORY: Final = """
-- ends_as is what one that is driven again was before, crash why one crashed. total is how many its
-- audience has, where that is known; is_read that it was read to its end.
ALTER TABLE dispatch ADD COLUMN caller TEXT NOT NULL DEFAULT '';
ALTER TABLE dispatch ADD COLUMN ends_as TEXT;
ALTER TABLE dispatch ADD COLUMN crash TEXT;
ALTER TABLE dispatch ADD COLUMN total INTEGER;
ALTER TABLE dispatch ADD COLUMN is_read INTEGER NOT NULL DEFAULT 0;
UPDATE dispatch SET is_read = 1 WHERE state = 'done';
ALTER TABLE progress ADD COLUMN is_read INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN problem TEXT;
"""

CALLS: Final = """
-- The calls to a provider by when they were last known to be open, in milliseconds since 1970, so
-- many of each moment; those at 0 are open. They name no delivery: its rows come and go.
CREATE TABLE call (
    provider TEXT NOT NULL, at INTEGER NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (provider, at)
) STRICT, WITHOUT ROWID;
INSERT INTO call SELECT provider, iif(at < now - 600000, at / 10000 * 10000 + 9999, at) AS moment,
    count(*) FROM (
        SELECT a.provider, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now,
            coalesce(a.ended_at, iif(a.number > d.tries_from, d.ended_at, a.started_at + 30000),
                CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)) AS at
        FROM attempt AS a JOIN delivery AS d USING (dispatch, channel, key)
        WHERE coalesce(a.result, '') <> 'unstarted'
    ) GROUP BY provider, moment;
-- Until when a provider has asked not to be called, and for how long it did.
CREATE TABLE pause (
    provider TEXT PRIMARY KEY, until INTEGER NOT NULL, seconds REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""

_REFUSALS: Final = """
-- Why the command was not carried out that an event answers.
ALTER TABLE event ADD COLUMN refusal TEXT;
"""

_LATE_ROWS: Final = """
-- Deliveries are in the redo log before they are in these tables, where earlier versions would not
-- look for them. enrolled is how many those groups of this life's log enrol that the tables have.
ALTER TABLE life ADD COLUMN enrolled INTEGER NOT NULL DEFAULT 0;
"""

_MIGRATIONS: Final = (
    _USERS_AND_JOURNAL,
    _LIVE_SETTINGS,
    _DURABILITY,
    _OUTBOX,
    _HANDOVERS,
    _LIFE,
    _WHOLE_STORY,
    CALLS,
    _REFUSALS,
    _LATE_ROWS,
)
"""The n-th brings a store from schema n to n + 1; what was released is never edited."""

SCHEMA_VERSION: Final = len(_MIGRATIONS)


def open_store(path: Path, *, moved: bool = False) -> sqlite3.Connection:
    """A connection to the store, made or brought to the newest schema when need be.

    One that moved to another place is opened only when `moved` says so.

    Raises:
        StoreError: the file is no store of ours, is newer than this version, has moved, or cannot
            be opened.
    """
    _keep_private(path)
    try:
        connection = connect(path)
    except sqlite3.Error as error:
        raise unopened(path, error) from None
    try:
        _bring_up_to_date(connection, path)
        if not moved:
            refuse_moved(connection, path)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise unopened(path, error) from None
        raise
    return connection


def _keep_private(path: Path) -> None:
    """SQLite gives the files that it makes beside the store the mode of the store."""
    with suppress(OSError):  # SQLite says better what is wrong with the place
        make_private(path)
    for store in {path, path.resolve()}:  # SQLite's own stand beside what a link names
        for suffix in BESIDE:
            tighten(store.with_name(store.name + suffix))


def refuse_moved(connection: sqlite3.Connection, path: Path) -> None:
    """See that a store of the newest schema is not used elsewhere now. Raises StoreError."""
    (moved,) = connection.execute("SELECT moved FROM life").fetchone()
    if moved is not None:
        raise StoreError(
            f"The store {path} has moved to {moved}; name that in STORE_URL, or another file"
        )


def connect(path: Path) -> sqlite3.Connection:
    """A plain connection in autocommit mode; may move between threads, one at a time."""
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
    )
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Everything in the block, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors, a full disk for one, roll back by themselves
            connection.execute("ROLLBACK")
        raise


def changed(connection: sqlite3.Connection) -> int:
    """Count a commit, within it, that is not the journal's own; gives its number."""
    query = "UPDATE life SET revision = revision + 1 RETURNING revision"
    (revision,) = connection.execute(query).fetchone()
    return int(revision)


@contextmanager
def only_server(path: Path) -> Iterator[None]:
    """Hold the store's lock; raises StoreError when another service holds it.

    It is on the file itself, so every name of it is locked: a link of either kind, a bind mount.
    The file beside it, which earlier versions checked, is locked for their sake.
    """
    with _locked(path, path.with_name(path.name + "-lock"), is_store=False):
        with _locked(path, path.resolve(), is_store=True):
            yield


@contextmanager
def _locked(path: Path, file: Path, *, is_store: bool) -> Iterator[None]:
    try:
        lock = open_private(file, os.O_RDWR)
    except OSError as error:
        raise unopened(path, error.strerror) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # SQLite's own locks are of another kind
    except OSError as error:
        # To close a descriptor of a database takes away the locks that SQLite holds on it in this
        # process: in it the other service may run. So that one is left open.
        if not is_store:
            os.close(lock)
        raise _not_locked(path, error) from None
    try:
        yield
    finally:
        os.close(lock)


def _not_locked(path: Path, error: OSError) -> StoreError:
    if error.errno != errno.EWOULDBLOCK:
        return StoreError(f"The store {path} cannot be locked: {error.strerror}")
    return StoreInUse.of(path)


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection):
        version = known_schema(connection, path)
        for migration in _MIGRATIONS[version:]:
            for statement in migration.split(";\n"):
                connection.execute(statement)
        if version < SCHEMA_VERSION:
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def known_schema(connection: sqlite3.Connection, path: Path) -> int:
    """The schema of a store that this version can use; 0 is that of an empty file.

    Raises:
        StoreError: it is newer, or the file is no store of ours.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"The store {path} has schema {version}, made by a newer Carillon; this one knows "
            f"{SCHEMA_VERSION}; STORE_URL must name another file"
        )
    if version == 0 and not _is_empty(connection):
        raise StoreError(
            f"The file {path} is an SQLite database, but not a Carillon store; STORE_URL must name "
            "another file"
        )
    return version


def _is_empty(connection: sqlite3.Connection) -> bool:
    found: tuple[int] = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return found == (0,)
