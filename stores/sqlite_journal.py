"""The journal in the embedded store: what is handed over, and to which of its two writers.

Dispatches and attempts, for each of which somebody waits, go into a redo log first; the deliveries
that follow go into the tables by the hundred.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import trio

from messages.errors import JournalUnavailable
from messages.journal import AttemptEnd, AttemptStart, Enrolment, NewDispatch, Progress
from messages.model import Outcome, Receipt
from messages.records import RecordFilter
from stores.errors import StoreError
from stores.redo_log import RedoLog
from stores.sqlite import connect
from stores.sqlite_group import Opening, read_group
from stores.sqlite_ledger import (
    Cancelling,
    Closing,
    Enrolling,
    Flushing,
    Ledger,
    Redriving,
    Retiring,
    Write,
)
from stores.sqlite_log import Gathering, LogWriter
from stores.sqlite_writer import Mark, TableWriter

_BROKEN: Final = "The journal cannot be written"

Fsync = Literal["commit", "process"]
"""What a durable write survives: a power cut, or only the death of the process."""

_SYNCHRONOUS: Final[Mapping[Fsync, str]] = {"commit": "FULL", "process": "NORMAL"}


class SqliteJournal:
    """Implements `messages.journal.Journal` while it is `running`."""

    def __init__(self, path: Path, fsync: Fsync = "commit") -> None:
        self._path = path
        self._fsync = fsync
        self._log: LogWriter
        self._tables: TableWriter

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run the writers around the body. What was handed over is written before it ends.

        Raises:
            StoreError: what an earlier process left in the redo log cannot be taken up.
        """
        token = trio.lowlevel.current_trio_token()
        connection = connect(self._path)
        connection.execute(f"PRAGMA synchronous={_SYNCHRONOUS[self._fsync]}")
        ledger = Ledger(connection)
        log = self._recovered(ledger)
        self._tables = TableWriter(ledger, token)
        self._log = LogWriter(log, self._tables, token)
        writers = [
            threading.Thread(target=one.run, name=name)
            for one, name in ((self._log, "journal-log"), (self._tables, "journal-writer"))
        ]
        for writer in writers:
            writer.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._log.write_what_lingers)
            try:
                yield
            finally:
                self._log.follow(Mark.END)
                with trio.CancelScope(shield=True):
                    for writer in writers:
                        await trio.to_thread.run_sync(writer.join)
                log.close()
                connection.close()
                nursery.cancel_scope.cancel()

    def _recovered(self, ledger: Ledger) -> RedoLog:
        """The log, once the tables have everything that an earlier process wrote into it."""
        try:
            log = RedoLog(self._path, ledger.identity, sync=self._fsync == "commit")
            first = ledger.applied + 1
            bodies = enumerate(log.begin(ledger.applied), first)
            ledger.commit([read_group(body, number) for number, body in bodies], ())
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"What the redo log beside {self._path} holds cannot be taken up: {error}"
            ) from None
        return log

    @property
    def is_working(self) -> bool:
        """Whether the last writes went through."""
        return self._log.broken is None and self._tables.broken is None

    async def open(self, dispatch: NewDispatch, rows: Sequence[Enrolment] = ()) -> Sequence[bool]:
        """See the port."""
        if not self.is_working:  # the log would take it, but should not grow for ever
            raise JournalUnavailable(_BROKEN)
        await _logged(self._log.open(Opening(dispatch, rows)))
        first = {(row.channel, row.key): at for at, row in reversed(list(enumerate(rows)))}
        return [first[row.channel, row.key] == at for at, row in enumerate(rows)]

    async def enrol(
        self, dispatch_id: str, rows: Sequence[Enrolment], progress: Progress
    ) -> Sequence[bool]:
        """See the port."""
        write = Enrolling(dispatch_id, rows, progress)
        await self._durably(write)
        return write.new

    async def start(self, attempt: AttemptStart) -> None:
        """See the port."""
        await _logged(self._log.start(attempt))

    def end(self, attempt: AttemptEnd) -> None:
        """See the port."""
        self._log.end(attempt)

    def record(self, receipt: Receipt) -> None:
        """See the port."""
        self._log.end(receipt)

    async def close(
        self, dispatch_id: str, counts: Mapping[Outcome, int], kept: str | None
    ) -> None:
        """See the port."""
        await self._durably(Closing(dispatch_id, counts, kept))

    async def cancel(self, dispatch_id: str) -> None:
        """See the port."""
        await self._durably(Cancelling(dispatch_id))

    async def redrive(self, dispatch_id: str, wanted: RecordFilter) -> int:
        """See the port."""
        write = Redriving(dispatch_id, wanted)
        await self._durably(write)
        return write.deliveries

    async def retire(self, before: int) -> bool:
        """Erase a part of what ended before a time, in milliseconds since 1970; whether more is.

        Raises JournalUnavailable.
        """
        write = Retiring(before)
        await self._durably(write)
        return write.more

    async def flush(self) -> None:
        """Make all that was handed over durable. Raises JournalUnavailable."""
        await self._durably(Flushing())

    async def _durably(self, write: Write) -> None:
        self._log.follow(write)
        await write.done.wait()
        if write.failed:
            raise JournalUnavailable(_BROKEN)


async def _logged(gathering: Gathering) -> None:
    await gathering.done.wait()
    if gathering.failed:
        raise JournalUnavailable(_BROKEN)
