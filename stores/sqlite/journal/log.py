"""What is to be durable on its way into the redo log: one pass of the loop is one group.

The loop writes a group itself: that takes 100 µs on a quick disk, and twice the time if a thread
does it, which gets the GIL from a busy loop late and dear (of 20,000 messages over 20 connections,
10,900 a second against 10,000). Where a disk is slow a thread does it all the same.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Final

import trio

from carillon.messages.errors import unwritable
from carillon.messages.model import Receipt
from carillon.messages.ports.journal import AttemptEnd, AttemptStart, StartsTold
from carillon.stores.sqlite.journal.batch import (
    Batch,
    Enrolled,
    Opening,
    group_text,
    outcomes_of,
    starts_of,
)
from carillon.stores.sqlite.journal.redo_log import RedoLog
from carillon.stores.sqlite.journal.tables import (
    LINGER,
    RETRY,
    Closing,
    Mark,
    TableWriter,
    Write,
    trouble,
)
from carillon.stores.sqlite.mark import HostMark

SLOW: Final = 0.001
"""Seconds that writes take lately, above which the loop leaves the next ones to the thread."""
LATELY: Final = 0.1
"""The share of the last write in that."""
REST: Final = 5.0
"""Seconds until the loop tries a write again."""


@dataclass(eq=False, slots=True)
class OpenBatch:
    """What will be written together, and what goes to the tables after it.

    `done` is set when its dispatches, deliveries and attempts are durable, or have `failed` to be.
    `told` has who is to hear of that, each with how many attempts it handed over.
    """

    openings: list[Opening] = field(default_factory=list)
    enrolled: list[Enrolled] = field(default_factory=list)
    starts: list[AttemptStart] = field(default_factory=list)
    ends: list[AttemptEnd] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    after: list[Write | Mark] = field(default_factory=list)
    told: list[tuple[StartsTold, int]] = field(default_factory=list)
    done: trio.Event = field(default_factory=trio.Event)
    failed: bool = False

    @property
    def is_waited_for(self) -> bool:
        """Whether a task waits for anything of it to be durable."""
        return bool(self.openings or self.enrolled or self.starts)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it belongs in the log."""
        return not (self.is_waited_for or self.ends or self.receipts)

    def group(self, revision: int) -> Batch:
        """What the log has of it, as of now."""
        return Batch(
            time.time_ns() // 1_000_000,
            self.openings,
            self.enrolled,
            starts_of(self.starts),
            self.ends,
            outcomes_of(self.receipts),
            revision=revision,
        )


class LogWriter:
    """Gathers groups in the loop. `broken` says why the last one could not be written."""

    def __init__(
        self, log: RedoLog, mark: HostMark, tables: TableWriter, token: trio.lowlevel.TrioToken
    ) -> None:
        self.broken: str | None = None
        self._log = log
        self._mark = mark
        self._tables = tables
        self._token = token
        self._next = OpenBatch()
        self._enrolled = 0
        self._is_asked = False
        self._comes_more = False
        self._has_waited = False
        self._thread_writes = False
        self._thread_until = 0.0
        self._takes = 0.0
        self._lingering = trio.Event()
        self._queue: SimpleQueue[tuple[bytes, Batch, OpenBatch] | None] = SimpleQueue()

    def open(self, opening: Opening) -> OpenBatch:
        """Take a new dispatch; it is durable when what this gives is `done` and has not failed."""
        self._next.openings.append(opening)
        if opening.withdraw is not None:
            self._comes_more = True  # its first attempts start in the next pass
        return self._soon()

    def enrol(self, enrolled: Enrolled) -> OpenBatch:
        """Take new deliveries; likewise."""
        self._next.enrolled.append(enrolled)
        return self._soon()

    def start_all(self, attempts: Sequence[AttemptStart], told: StartsTold) -> None:
        """Take several, and call `told` when they are durable or have failed to be."""
        batch = self._soon()
        batch.starts += attempts
        batch.told.append((told, len(attempts)))

    def _soon(self) -> OpenBatch:
        if not self._is_asked:
            self._is_asked = True
            self._token.run_sync_soon(self._asked)  # together with what else comes in this pass
        return self._next

    def end(self, end: AttemptEnd) -> None:
        """Take the end of an attempt, which no task waits for."""
        self._next.ends.append(end)
        self._lingering.set()

    def record(self, receipt: Receipt) -> None:
        """Take an outcome, which no task waits for."""
        self._next.receipts.append(receipt)
        self._lingering.set()

    def follow(self, write: Write | Mark) -> None:
        """Pass a write on to the tables after all that was taken before it."""
        self._next.after.append(write)
        if isinstance(write, Closing):
            self._lingering.set()
        else:
            self._write()

    @property
    def ahead(self) -> int:
        """How many deliveries are in the log, and not in the tables yet."""
        return self._enrolled - self._tables.enrolled

    async def write_what_lingers(self) -> None:
        """Until cancelled, make sure that what no task waits for is written, too."""
        while True:
            await self._lingering.wait()
            await trio.sleep(LINGER if self.broken is None else RETRY)
            self._lingering = trio.Event()
            self._write()

    def _asked(self) -> None:
        if self._comes_more and not self._has_waited:  # once: openings may come in every pass
            self._has_waited = True
            self._token.run_sync_soon(self._asked)
            return
        self._is_asked = self._comes_more = self._has_waited = False
        self._write()

    def _write(self) -> None:
        """Write what was gathered, unless the thread is about it and will ask again."""
        if self._thread_writes:
            return
        gathering, self._next = self._next, OpenBatch()
        if gathering.is_empty and self.broken is None:  # else a group is tried again
            self._pass_on(gathering)
            return
        group = gathering.group(self._tables.ledger.revision)
        text = group_text(group)
        began = trio.current_time()
        if began < self._thread_until:
            self._thread_writes = True
            self._queue.put((text, group, gathering))
            return
        self._written(gathering, group, *self._append(text, group.deliveries))
        self._takes += LATELY * (trio.current_time() - began - self._takes)
        if self._takes > SLOW:
            self._takes, self._thread_until = 0.0, began + REST

    def run(self) -> None:
        """Write what comes, in a thread, until it is asked to end."""
        while (item := self._queue.get()) is not None:
            text, group, gathering = item
            written = self._append(text, group.deliveries)
            self._token.run_sync_soon(self._written_by_thread, gathering, group, *written)

    def _append(self, text: bytes, deliveries: int) -> tuple[int, str | None]:
        """The number of the group, 0 and a reason when it is not durable."""
        try:
            number = self._log.append(text, self._tables.ledger.applied)
        except Exception as error:  # the tasks that wait must get it
            return 0, trouble(error)
        self._mark.logged(number, self._enrolled + deliveries)  # before any byte leaves
        return number, None

    def _written_by_thread(
        self, gathering: OpenBatch, group: Batch, number: int, why: str | None
    ) -> None:
        self._thread_writes = False
        self._written(gathering, group, number, why)
        if self._next.is_waited_for or self._next.after:
            self._write()

    def _written(self, gathering: OpenBatch, group: Batch, number: int, why: str | None) -> None:
        self.broken = why
        gathering.failed = why is not None
        if gathering.failed:
            for opening in gathering.openings:
                if opening.withdraw is not None:
                    opening.withdraw()
        gathering.done.set()
        error = unwritable(why)
        for told, starts in gathering.told:
            told(dict.fromkeys(range(starts), error) if gathering.failed else {})
        if gathering.failed:
            self._lingering.set()  # nobody may come by until the service is ready again
            # Ends that are not in the log may still reach the tables.
            self._tables.queue.put(Batch(group.at, ends=group.ends, outcomes=group.outcomes))
        else:
            self._enrolled += group.deliveries
            self._tables.queue.put(replace(group, number=number))
        self._pass_on(gathering)

    def _pass_on(self, gathering: OpenBatch) -> None:
        for write in gathering.after:
            self._tables.queue.put(write)
            if write is Mark.END:
                self._queue.put(None)
