"""Whether a service could start on a file as its store, found out without changing anything."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from carillon.stores.errors import StoreError, unopened
from carillon.stores.sqlite.database import BESIDE, SCHEMA_VERSION, known_schema, refuse_moved
from carillon.stores.sqlite.life import examine, has_foreign_wal, not_taken_up, refuse_damaged
from carillon.stores.sqlite.mark import mark_path

_ROOM: Final = 65_536
"""Bytes that a start writes at least."""
_ROOM_OF_A_NEW_ONE: Final = 524_288


def look_at_store(path: Path) -> bool:
    """See that a service could start on a store, which need not be there yet.

    Gives whether one runs on it now.

    Raises:
        StoreError: none could, for the reason that its start would tell.
    """
    store = path.resolve()
    try:
        _look_at_files(path, store)
        is_served = _is_served(path)
        if store.exists():
            _look_at_tables(path, store, is_served=is_served)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise unopened(path, reason or error) from None
    return is_served


def _look_at_files(path: Path, store: Path) -> None:
    """Raises OSError for a folder or a file that cannot be written."""
    room = _ROOM if store.exists() else _ROOM_OF_A_NEW_ONE
    for folder in {path.parent, store.parent}:
        with TemporaryFile(dir=folder) as probe:
            probe.write(bytes(room))
            probe.flush()
    beside = [one.with_name(one.name + suffix) for one in (path, store) for suffix in BESIDE]
    for file in (store, *beside, mark_path(store)):
        _look_at_file(file)


def _look_at_file(file: Path) -> None:
    # It is not opened: SQLite's locks are those of a process, and go when any descriptor is closed.
    if not file.exists():
        return
    if file.is_dir():
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not os.access(file, os.R_OK | os.W_OK, effective_ids=True):
        is_read_only = bool(os.statvfs(file).f_flag & os.ST_RDONLY)
        number = errno.EROFS if is_read_only else errno.EACCES
        raise OSError(number, os.strerror(number))


def _is_served(path: Path) -> bool:
    """Whether a service holds the lock; it is looked at for an instant."""
    with suppress(FileNotFoundError):
        lock = os.open(path.with_name(f"{path.name}-lock"), os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
    return False


def _look_at_tables(path: Path, store: Path, *, is_served: bool) -> None:
    """Raises StoreError, OSError and sqlite3.Error."""
    wal = store.with_name(f"{store.name}-wal")
    is_needed = is_served or (wal.exists() and wal.stat().st_size and not has_foreign_wal(store))
    how = "mode=ro" if is_needed else "immutable=1"  # the latter makes no file beside it
    with closing(sqlite3.connect(f"{store.as_uri()}?{how}", uri=True)) as connection:
        if known_schema(connection, path) < SCHEMA_VERSION:
            return
        refuse_moved(connection, path)
        if not is_served:
            _look_at_log(path, store, connection)


def _look_at_log(path: Path, store: Path, connection: sqlite3.Connection) -> None:
    try:
        refuse_damaged(path, examine(store, connection))
    except StoreError:
        raise
    except (OSError, sqlite3.Error, ValueError) as error:
        raise not_taken_up(path, error) from None
