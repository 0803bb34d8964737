"""A copy of an embedded store, as it is at one moment, whether a service uses it or not.

The copy is one file: with everything that the redo log still holds, and with a mark by which it is
known for a copy and starts paused wherever it is put.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from carillon.stores.errors import StoreError
from carillon.stores.private_files import make_private
from carillon.stores.sqlite.database import transaction
from carillon.stores.sqlite.journal.batch import Batch
from carillon.stores.sqlite.journal.tables import JournalTables

_PAGES: Final = 1024
"""Pages copied between two reports of progress."""

Show = Callable[[int, int], None]
"""Called with the number of pages copied, and of how many."""
Lacking = Callable[[], Sequence[Batch]]
"""What the tables lack as the connection sees them at that moment."""


def back_up(connection: sqlite3.Connection, lacking: Lacking, target: Path, show: Show) -> None:
    """Copy the store to a file that is not there yet, with the groups that its tables lack.

    Raises:
        StoreError: the file is there, or it cannot be written.
    """
    if target.exists():
        raise StoreError(f"{target} is there already; name a file that is not")
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        make_private(part)
        with closing(sqlite3.connect(part, isolation_level=None)) as copy:
            groups = _copy(connection, copy, lacking, show)
            if groups:
                JournalTables(copy).commit(groups, ())
                copy.isolation_level = None
            _know_as_copy(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # all of it in one file
        _publish(part, target)
    except (OSError, sqlite3.Error, ValueError) as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise StoreError(f"The copy {target} cannot be written: {error}") from None


def _copy(
    source: sqlite3.Connection, copy: sqlite3.Connection, lacking: Lacking, show: Show
) -> Sequence[Batch]:
    # Within a transaction of its own, writes of others meanwhile do not restart the copy.
    source.execute("BEGIN")
    try:
        source.execute("SELECT 1 FROM life").fetchone()
        groups = lacking()  # at once: a running service writes over what its tables have
        source.backup(copy, pages=_PAGES, progress=lambda _, left, total: show(total - left, total))
    finally:
        source.execute("COMMIT")
    return groups


def _know_as_copy(copy: sqlite3.Connection) -> None:
    """See that it starts paused, and that no redo log of the store is taken for its own."""
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    with transaction(copy):
        copy.execute(
            "UPDATE life SET paused = ?, id = randomblob(8), before = randomblob(8)",
            (f"it is a copy that `carillon store backup` made at {at}",),
        )


def _publish(part: Path, target: Path) -> None:
    """Let the file appear under its name, whole, durable, and never in place of another one."""
    _sync(part, os.O_RDWR)
    try:
        os.link(part, target)
        part.unlink()
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        part.rename(target)
    _sync(target.parent, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
