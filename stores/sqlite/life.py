"""The lives of an embedded store: how it is taken up, and when it may not go on by itself.

A life lasts from one start to the next. Tables, redo log and mark say which one they are of, so
what was put together from different moments is known: a store that was restored beside the log of
today, a copy that was taken elsewhere, a log that lost its end. Such a store is paused, which is
durable, or not taken up at all; nothing of it is sent until an operator has been told.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from carillon.stores.errors import StoreError, unopened
from carillon.stores.sqlite.database import transaction
from carillon.stores.sqlite.journal.batch import Batch, read_group
from carillon.stores.sqlite.journal.redo_log import Found, RedoLog, log_paths, look, set_aside
from carillon.stores.sqlite.journal.tables import JournalTables
from carillon.stores.sqlite.mark import HostMark, Marked, read_mark

_LIFE: Final = "SELECT store, id, before, number, applied, revision, paused, enrolled FROM life"


@dataclass(frozen=True, slots=True)
class Life:
    """What the tables say of their store; `number` is 0 until it is served for the first time."""

    store: bytes
    id: bytes
    before: bytes
    number: int
    applied: int
    revision: int
    paused: str | None
    enrolled: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How a store stands before it is taken up.

    With a `doubt` it is paused, with `damage` it is not taken up at all: `lost` deliveries were
    enrolled in what the log lacks. `groups` are those that the tables lack, `aside` the log files
    that are none of this life.
    """

    life: Life
    doubt: str | None
    damage: str | None
    groups: Sequence[Batch]
    aside: Sequence[Path]
    lost: int = 0


@dataclass(frozen=True, slots=True)
class TakenUp:
    """A store whose new life has begun; `notes` are sentences for the log."""

    ledger: JournalTables
    log: RedoLog
    mark: HostMark
    notes: Sequence[str]


def read_life(connection: sqlite3.Connection) -> Life:
    """What the tables say of their store. Raises sqlite3.Error."""
    return Life(*connection.execute(_LIFE).fetchone())


def why_paused(connection: sqlite3.Connection) -> str | None:
    """Why a store sends nothing; None when it does. Raises sqlite3.Error."""
    (why,) = connection.execute("SELECT paused FROM life").fetchone()
    return None if why is None else str(why)


def has_moved(connection: sqlite3.Connection) -> bool:
    """Whether a store is used at another place now. Raises sqlite3.Error."""
    (moved,) = connection.execute("SELECT moved FROM life").fetchone()
    return moved is not None


def pause(connection: sqlite3.Connection, why: str) -> None:
    """See that a store sends nothing until it is resumed. Raises sqlite3.Error."""
    with transaction(connection):
        query = "UPDATE life SET paused = coalesce(paused, ?), revision = revision + 1"
        connection.execute(query, (why,))


def resume(connection: sqlite3.Connection) -> None:
    """Let a paused store go on. Raises sqlite3.Error."""
    with transaction(connection):
        connection.execute("UPDATE life SET paused = NULL, revision = revision + 1")


def examine(path: Path, connection: sqlite3.Connection) -> Standing:
    """The state of a store that no service uses; changes nothing. `path` must not be a link.

    Raises:
        OSError: its log or its mark cannot be read.
        sqlite3.Error: its tables cannot be read.
    """
    life, mark = read_life(connection), read_mark(path)
    found = look(path, life.id, life.before)
    last = life.applied
    while last + 1 in found.groups:
        last += 1
    groups = [read_group(found.groups[one], one) for one in range(life.applied + 1, last + 1)]
    fits = max(found.groups, default=0) <= last
    is_ahead = any(group.revision > life.revision for group in groups)
    doubt = life.paused or _doubt(life, mark)
    if doubt is None and is_ahead:
        doubt = "it is older than its redo log: it was restored from a copy"
    aside = list(found.foreign)
    damage = None
    if doubt is None:
        damage = _damage(life, mark, found, last)
    elif is_ahead or not fits:
        groups, aside = [], list(log_paths(path))
    if life.paused is None and life.number == 0 and not groups and _is_blank(connection):
        doubt = None  # a new store: nothing of it was ever sent or is known elsewhere
    lost = 0
    if damage is not None and mark is not None:
        there = life.enrolled + sum(group.deliveries for group in groups)
        lost = max(0, mark.enrolled - there)
    return Standing(life, doubt, damage, groups, aside, lost)


def lacking(path: Path, connection: sqlite3.Connection) -> Sequence[Batch]:
    """What the log of a running service has and its tables lack, as the connection sees these.

    What follows a write to the tables alone that is not seen either is left out. `path` must not be
    a link. Raises OSError, sqlite3.Error and ValueError.
    """
    life = read_life(connection)
    logged = look(path, life.id, life.before).groups
    groups: list[Batch] = []
    for number in range(life.applied + 1, max(logged, default=0) + 1):
        if number not in logged:
            break
        group = read_group(logged[number], number)
        if group.revision > life.revision:
            break
        groups.append(group)
    return groups


def _doubt(life: Life, mark: Marked | None) -> str | None:
    """Why a store may have been put here, or be older than what was written here."""
    if mark is None:
        # Stores had no marks before they had lives.
        return "it was copied here: the mark of its host is missing" if life.number else None
    if mark.copy:
        return "it was copied here, and its mark with it"
    if mark.store != life.store:
        return "another store was served here last"
    if (life.number, life.revision) < (mark.number, mark.revision):
        return "it is older than what was written here last: it was restored from a copy"
    # A process that dies while it begins a life leaves the mark one behind.
    if life.number > mark.number + 1 or (life.number == mark.number and life.id != mark.life):
        return "it was served elsewhere meanwhile"
    return None


def _damage(life: Life, mark: Marked | None, found: Found, last: int) -> str | None:
    """What its log lacks of what the tables need."""
    needed = mark.logged if mark is not None and mark.life == life.id else 0
    needed = max([needed, last, *found.groups])
    if needed == last:
        return None
    return (
        f"its redo log is damaged or gone: of the groups {last + 1:,} to {needed:,} it lacks some"
    )


def _is_blank(connection: sqlite3.Connection) -> bool:
    query = "SELECT EXISTS (SELECT 1 FROM dispatch) OR EXISTS (SELECT 1 FROM event)"
    (found,) = connection.execute(query).fetchone()
    return not found


def begin_life(path: Path, connection: sqlite3.Connection, *, sync: bool) -> TakenUp:
    """Take up what the life before this one left, and begin a new one. The lock must be held.

    With `sync` the log's writes survive a power cut.

    Raises:
        StoreError: the log is damaged, or something cannot be read or written.
    """
    try:
        bring_logs(path)
        standing = examine(path.resolve(), connection)
        refuse_damaged(path, standing)
        return take_up(path.resolve(), connection, standing, sync=sync)
    except (OSError, sqlite3.Error, ValueError) as error:
        raise not_taken_up(path, error) from None


def not_taken_up(path: Path, error: Exception) -> StoreError:
    """What to tell of an error while the life before this one is taken up."""
    return StoreError(
        f"What the redo log beside {path} holds cannot be taken up: {error}; STORE_URL must name a "
        "store whose files, and their folder, this user may write"
    )


def refuse_damaged(path: Path, standing: Standing) -> None:
    """See that a store that stands so can be taken up. Raises StoreError."""
    if standing.damage is not None:
        raise StoreError(
            f"The store {path} is not taken up: {standing.damage}. `carillon store check` says "
            "what may be sent twice, `carillon store repair` goes on without them"
        )


def take_up(
    path: Path, connection: sqlite3.Connection, standing: Standing, *, sync: bool
) -> TakenUp:
    """Begin a new life of a store that stands so. Raises OSError or sqlite3.Error."""
    if standing.doubt is not None and standing.life.paused is None:
        pause(connection, standing.doubt)
    mark = HostMark(path)
    ledger = JournalTables(connection, mark)
    if standing.groups:
        ledger.commit(standing.groups, ())
    ledger.take_over()
    renamed = set_aside(standing.aside)
    log = RedoLog(path, standing.life.id, sync=sync)
    for _ in log.begin(ledger.applied):
        pass
    identity = os.urandom(8)
    number, revision = _renew(connection, identity)
    mark.begin(standing.life.store, identity, number, revision, ledger.applied)
    log.renew(identity)
    (is_busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if not is_busy:
        mark.based()
    notes = [
        f"set aside {one.name}: it is no redo log of this store's last life" for one in renamed
    ]
    return TakenUp(ledger, log, mark, notes)


def _renew(connection: sqlite3.Connection, identity: bytes) -> tuple[int, int]:
    """Begin the next life in the tables; its number, and that of this write."""
    with connection:
        number, revision = connection.execute(
            "UPDATE life SET before = id, id = ?, number = number + 1, enrolled = 0,"
            " revision = revision + 1"
            " RETURNING number, revision",
            (identity,),
        ).fetchone()
    return int(number), int(revision)


def set_foreign_wal_aside(path: Path) -> Sequence[str]:
    """Take away the WAL of SQLite when it is not of this file, which was restored without it.

    SQLite would take it for that of the file, and mix both. To be called with the lock, before the
    store is opened; gives sentences for whoever reads the log. Raises StoreError.
    """
    store = path.resolve()
    wal, index = (store.with_name(store.name + suffix) for suffix in ("-wal", "-shm"))
    try:
        if not has_foreign_wal(store):
            return []
        renamed = set_aside([wal, index])
    except OSError as error:
        raise unopened(path, error) from None
    return [f"set aside as {renamed[0].name}: no WAL of this file, which was put here without it"]


def has_foreign_wal(store: Path) -> bool:
    """Whether the WAL beside a file, which is no link, is not of it. Raises OSError."""
    mark = read_mark(store)
    if mark is None or mark.copy or not mark.base:
        return False
    if not store.with_name(f"{store.name}-wal").exists():
        return False
    # The file had this life before anything was written to a WAL of this life.
    return _is_of(store, mark.life, "mode=ro") and not _is_of(store, mark.life, "immutable=1")


def _is_of(store: Path, life: bytes, how: str) -> bool:
    """Whether a store is of a life; it is `immutable` when the WAL is not to be looked at."""
    try:
        with closing(sqlite3.connect(f"{store.as_uri()}?{how}", uri=True)) as connection:
            return read_life(connection).id == life
    except sqlite3.Error as error:  # the error is reported when it is opened
        return "no such table" not in str(error)  # one of an earlier version has no lives


def bring_logs(path: Path) -> None:
    """Move the log of a store that is named by a link to where the store is. Raises OSError.

    Earlier versions kept it beside the link.
    """
    target = path.resolve()
    for old, new in zip(log_paths(path), log_paths(target), strict=True):
        if old.parent.resolve() / old.name != new and old.exists() and not new.exists():
            shutil.move(old, new)
