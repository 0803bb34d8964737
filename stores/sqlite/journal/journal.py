"""The journal in the embedded store: what is handed over, and to which of its two writers.

Dispatches, deliveries and attempts, for each of which a task waits, go into a redo log; the tables
follow by the hundred, so what ends within a moment is written there once. What the loop cannot
judge, and what is rare, goes to the tables after all that was logged before it.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import trio

from carillon.messages.errors import JournalUnavailable, unwritable
from carillon.messages.model import Channel, Outcome, Receipt
from carillon.messages.ports.journal import (
    AttemptEnd,
    AttemptStart,
    DispatchEnd,
    Enrolment,
    NewDispatch,
    Progress,
    StartsTold,
)
from carillon.messages.ports.records import RecordFilter
from carillon.stores.sqlite.database import connect
from carillon.stores.sqlite.journal.batch import Enrolled, Opening
from carillon.stores.sqlite.journal.high_water import HighWater
from carillon.stores.sqlite.journal.log import LogWriter, OpenBatch
from carillon.stores.sqlite.journal.tables import (
    BeginningLong,
    Cancelling,
    Closing,
    Enrolling,
    Flushing,
    Mark,
    Redriving,
    Retiring,
    TableWriter,
    Tidying,
    Write,
)
from carillon.stores.sqlite.life import begin_life
from carillon.stores.sqlite.mark import HostMark

LONG: Final = 65_536
"""Characters of a request above which it goes straight into the tables: the loop writes the log."""

MOST_AHEAD: Final = 20_000
"""Deliveries in the log that the tables may lack before the next ones wait for them."""

Fsync = Literal["commit", "process"]
"""What a durable write survives: a power cut, or only the death of the process."""

_SYNCHRONOUS: Final[Mapping[Fsync, str]] = {"commit": "FULL", "process": "NORMAL"}


class SqliteJournal:
    """Implements `messages.ports.journal.Journal` while it is `running`.

    `notes` are what an operator should read of how it was taken up; `mark` is that of the host.
    """

    def __init__(self, path: Path, fsync: Fsync = "commit") -> None:
        self._path = path
        self._fsync = fsync
        self.notes: Sequence[str] = ()
        self.mark: HostMark
        self._marks: dict[str, dict[Channel, HighWater]] = {}
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
        try:
            taken = begin_life(self._path, connection, sync=self._fsync == "commit")
        except BaseException:
            connection.close()
            raise
        connection.execute(f"PRAGMA synchronous={_SYNCHRONOUS[self._fsync]}")
        self.notes, self.mark = taken.notes, taken.mark
        self._tables = TableWriter(taken.ledger, token)
        self._log = LogWriter(taken.log, taken.mark, self._tables, token)
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
                taken.log.close()
                connection.close()
                taken.mark.close()
                nursery.cancel_scope.cancel()

    @property
    def is_working(self) -> bool:
        """Whether the last writes went through."""
        return self.trouble is None

    @property
    def trouble(self) -> str | None:
        """See the port."""
        return self._log.broken or self._tables.broken

    async def open(self, dispatch: NewDispatch, rows: Sequence[Enrolment] = ()) -> Sequence[bool]:
        """See the port."""
        self._check_tables()
        opening = Opening(dispatch, rows)
        if len(dispatch.request) > LONG:
            await self._durably(BeginningLong(opening))
        else:
            await self._logged(self._log.open(opening))
        self._mark_all(dispatch, rows)
        return _first_of_each(rows)

    async def open_with_starts(
        self,
        dispatch: NewDispatch,
        rows: Sequence[Enrolment],
        begin: Callable[[], None],
        withdraw: Callable[[], None],
    ) -> Sequence[bool]:
        """See `messages.ports.journal.OneLog`."""
        if len(dispatch.request) > LONG:  # it is in no log
            new = await self.open(dispatch, rows)
            begin()
            return new
        self._check_tables()
        opening = self._log.open(Opening(dispatch, rows, withdraw))
        begin()
        await self._logged(opening)
        self._mark_all(dispatch, rows)
        return _first_of_each(rows)

    def _mark_all(self, dispatch: NewDispatch, rows: Sequence[Enrolment]) -> None:
        if not dispatch.is_read:
            self._marks[dispatch.id] = {
                channel: HighWater(
                    max((row.key for row in rows if row.channel == channel), default="")
                )
                for channel in dispatch.channels
            }

    async def enrol(
        self, dispatch_id: str, rows: Sequence[Enrolment], progress: Progress
    ) -> Sequence[bool]:
        """See the port."""
        self._check_tables()
        if self._log.ahead > MOST_AHEAD:
            await self.flush()
        marks = self._marks.setdefault(dispatch_id, {})
        mark = marks.setdefault(progress.channel, HighWater())
        if not mark.rise([row.key for row in rows]):
            return await self._enrol_unless_known(mark, Enrolling(dispatch_id, rows, progress))
        texts = [text for row in rows for text in (row.key, row.user_id)]
        try:
            await self._logged(self._log.enrol(Enrolled(dispatch_id, progress, texts)))
        except BaseException:
            mark.forget()
            raise
        return [True] * len(rows)

    async def _enrol_unless_known(self, mark: HighWater, write: Enrolling) -> Sequence[bool]:
        mark.ask()
        try:
            await self._durably(write)
        finally:
            mark.answered(write.highest)
        return write.new

    def start_all(self, attempts: Sequence[AttemptStart], told: StartsTold) -> None:
        """See the port."""
        self._log.start_all(attempts, told)

    def end(self, attempt: AttemptEnd) -> None:
        """See the port."""
        self._log.end(attempt)

    def record(self, receipt: Receipt) -> None:
        """See the port."""
        self._log.record(receipt)

    async def close(
        self,
        dispatch_id: str,
        counts: Mapping[Outcome, int],
        kept: str | bytes | None,
        end: DispatchEnd | None = None,
    ) -> None:
        """See the port."""
        self._marks.pop(dispatch_id, None)
        await self._durably(Closing(dispatch_id, counts, kept, end or DispatchEnd()))

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

    async def forget_calls(self, before: int) -> None:
        """Erase calls that ended before a time, in milliseconds since 1970.

        Raises JournalUnavailable.
        """
        await self._durably(Tidying(before))

    async def flush(self) -> None:
        """See the port."""
        await self._durably(Flushing())

    async def _durably(self, write: Write) -> None:
        self._log.follow(write)
        await write.done.wait()
        if write.failed:
            raise self._unavailable()

    async def _logged(self, gathering: OpenBatch) -> None:
        await gathering.done.wait()
        if gathering.failed:
            raise self._unavailable()

    def _check_tables(self) -> None:
        if self._tables.broken is not None:  # the log would take it, but not grow for ever
            raise self._unavailable()

    def _unavailable(self) -> JournalUnavailable:
        return unwritable(self.trouble)


def _first_of_each(rows: Sequence[Enrolment]) -> Sequence[bool]:
    """For each row whether none before it has its channel and key."""
    first = {(row.channel, row.key): at for at, row in reversed(list(enumerate(rows)))}
    return [first[row.channel, row.key] == at for at, row in enumerate(rows)]
