"""What one commit of the embedded journal writes, and in which order."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import Enum, auto
from math import inf
from queue import Empty, SimpleQueue
from typing import Final

import trio

from carillon.messages.model import Channel, Outcome
from carillon.messages.ports.journal import DispatchEnd, Enrolment, Progress
from carillon.messages.ports.records import RecordFilter
from carillon.stores.sqlite.calls import CallCounts, Dating, MachineClock, tidy
from carillon.stores.sqlite.journal.batch import Batch, Opening, Outcomes, Starts, pairs
from carillon.stores.sqlite.journal.fresh import FreshDeliveries
from carillon.stores.sqlite.journal.sql import (
    advance,
    cancel_dispatch,
    close_dispatch,
    end,
    enrol,
    find_dispatch,
    highest_key,
    open_dispatch,
    record,
    redrive,
    retire,
    start,
)
from carillon.stores.sqlite.mark import HostMark

_MOMENT: Final = 20
"""Milliseconds by which times on record may be too late."""

_COUNT: Final = (
    "UPDATE life SET applied = ?, enrolled = enrolled + ?, revision = revision + 1"
    " RETURNING revision"
)

MOST_RETIRED: Final = 500
"""Rows erased in one commit: some 2 ms, so that no send has to wait longer for it."""


class Write:
    """Something for the next commit, and the task that waits for it."""

    __slots__ = ("dispatch_id", "done", "failed")

    def __init__(self, dispatch_id: str = "") -> None:
        self.dispatch_id = dispatch_id
        self.failed = False
        self.done = trio.Event()


class Flushing(Write):
    """Only waits for what was handed over before."""

    __slots__ = ()


class BeginningLong(Write):
    """A new dispatch with a long request, which would be in the way in the redo log."""

    __slots__ = ("opening",)

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening.dispatch.id)
        self.opening = opening


class Enrolling(Write):
    """Deliveries of one channel of which some may be known; `new` tells which are new.

    `highest` is the highest key of the channel then.
    """

    __slots__ = ("highest", "new", "progress", "rows")

    def __init__(self, dispatch_id: str, rows: Sequence[Enrolment], progress: Progress) -> None:
        super().__init__(dispatch_id)
        self.rows = rows
        self.progress = progress
        self.new: Sequence[bool] = ()
        self.highest: str | None = None


class Closing(Write):
    """The end of a dispatch. It can wait for company: the dispatch was answered already."""

    __slots__ = ("counts", "end", "kept")

    def __init__(
        self,
        dispatch_id: str,
        counts: Mapping[Outcome, int],
        kept: str | bytes | None,
        end: DispatchEnd,
    ) -> None:
        super().__init__(dispatch_id)
        self.counts = counts
        self.kept = kept
        self.end = end


class Cancelling(Write):
    """Nothing more of a dispatch may start."""

    __slots__ = ()


class Redriving(Write):
    """Ended deliveries that are to be sent again; `deliveries` tells how many."""

    __slots__ = ("deliveries", "wanted")

    def __init__(self, dispatch_id: str, wanted: RecordFilter) -> None:
        super().__init__(dispatch_id)
        self.wanted = wanted
        self.deliveries = 0


class Retiring(Write):
    """What ended before a time may go; `more` tells whether some of it is left."""

    __slots__ = ("before", "more")

    def __init__(self, before: int) -> None:
        super().__init__()
        self.before = before
        self.more = False


class Tidying(Write):
    """Calls that ended before a time may go: nothing counts them any more."""

    __slots__ = ("before",)

    def __init__(self, before: int) -> None:
        super().__init__()
        self.before = before


class JournalTables:
    """Makes commits, and knows the numbers of the open dispatches."""

    def __init__(self, connection: sqlite3.Connection, mark: HostMark | None = None) -> None:
        self._connection = connection
        self._mark = mark
        # sqlite3 begins and ends transactions in one step where a statement takes the GIL five
        # times; IMMEDIATE, for a transaction that only then wants to write may not wait.
        connection.isolation_level = "IMMEDIATE"
        self._numbers: dict[str, int] = {}
        self._calls = CallCounts()
        self._dating = Dating(MachineClock())
        self._is_live = False
        self.applied: int
        self.revision: int
        query = "SELECT applied, revision FROM life"
        self.applied, self.revision = connection.execute(query).fetchone()

    def commit(self, groups: Sequence[Batch], writes: Sequence[Write]) -> None:
        """Commit all or nothing, except that rows of a dispatch that was never opened fail alone.

        Without any rows it only tries whether the tables can be written.
        """
        if writes and not groups and all(isinstance(write, Flushing) for write in writes):
            return  # all that came before is committed
        now = time.time_ns() // 1_000_000
        self._calls.begin()
        try:
            with self._connection:
                self._write(groups, writes, now)
                applied = max([self.applied, *(group.number for group in groups)])
                enrolled = sum(group.deliveries for group in groups)
                count = (applied, enrolled)
                (revision,) = self._connection.execute(_COUNT, count).fetchone()
        except BaseException:
            self._calls.roll_back()
            self._dating.roll_back()
            self._numbers.clear()  # some may be of dispatches that were taken back
            raise
        self.applied, self.revision = applied, revision
        if self._mark is not None:
            self._mark.committed(revision)
        for write in writes:
            if isinstance(write, Closing):
                self._numbers.pop(write.dispatch_id, None)

    def take_over(self) -> None:
        """Begin to write for this process, once all is in that earlier ones have handed over."""
        now = time.time_ns() // 1_000_000
        with self._connection:
            self._dating.begin(self._connection, now)
            self._calls.take_over(self._connection, now)
        self._is_live = True

    @contextmanager
    def supposing(self, groups: Sequence[Batch]) -> Iterator[None]:
        """Let the tables have these within the block, and then no longer."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._write(groups, (), time.time_ns() // 1_000_000)
            yield
        finally:
            connection.rollback()
            self._numbers.clear()

    def _write(self, groups: Sequence[Batch], writes: Sequence[Write], now: int) -> None:
        if self._is_live and self._dating.follow(self._connection, now):
            groups = [replace(group, at=now) for group in groups]  # from before the clock was set
        fresh, progress = FreshDeliveries(), dict[tuple[int, Channel], Progress]()
        for group in groups:
            self._open(group.openings, group.at, fresh)
            for one in group.enrolled:
                if number := self._number(one.dispatch_id):
                    channel = one.progress.channel
                    fresh.enrol(number, channel, group.at, pairs(one.texts))
                    progress[number, channel] = one.progress
        long = [write.opening for write in writes if isinstance(write, BeginningLong)]
        self._open(long, now, fresh)
        ended = [(at, part, self._end(part, at, fresh)) for at, part in _of_one_moment(groups)]
        fresh.write(self._connection)
        for (number, _), reached in progress.items():
            advance(self._connection, number, reached)
        self._enrol([write for write in writes if isinstance(write, Enrolling)], now)
        self._apply(ended)
        for write in writes:
            self._settle(write, now)

    def _open(self, openings: Sequence[Opening], at: int, fresh: FreshDeliveries) -> None:
        for one in openings:
            number = open_dispatch(self._connection, one.dispatch, at)
            self._numbers[one.dispatch.id] = number
            for channel in dict.fromkeys(row.channel for row in one.rows):
                rows = [(row.key, row.user_id) for row in one.rows if row.channel == channel]
                fresh.enrol(number, channel, at, rows)

    def _end(self, groups: Sequence[Batch], at: int, fresh: FreshDeliveries) -> _Ended:
        """How deliveries ended, without those that this very commit enrols."""
        found: _Ended = []
        for group in groups:
            for one in group.outcomes:
                if number := self._number(one.dispatch_id):
                    found.append((number, one, fresh.end(number, one, at)))
        return found

    def _apply(self, moments: Sequence[tuple[int, Sequence[Batch], _Ended]]) -> None:
        """What started and ended since the last commit; together what came within a moment.

        An attempt is written while its delivery is pending: what is read of one that has ended is
        in its own row. So those that this very commit ends have none.
        """
        over: dict[tuple[int, Channel], set[str]] = {}
        for _, _, ended in moments:
            for number, one, _ in ended:
                over.setdefault((number, one.channel), set()).update(one.keys)
        for at, part, ended in moments:
            starts = self._numbered_starts(part)
            pending = [
                (number, _without(one, over.get((number, one.channel), ())))
                for number, one in starts
            ]
            start(self._connection, pending, at)
            for number, started in starts:
                self._calls.started(number, started, at)
            left = [(self._number(one.dispatch_id), one) for group in part for one in group.ends]
            if left:
                end(self._connection, left, at)
                self._calls.ended(left, at)
            known = [(number, rest) for number, _, rest in ended if rest is not None]
            record(self._connection, known, at)
            for number, outcomes, _ in ended:
                self._calls.delivered(number, outcomes.channel, outcomes.keys, at)
        self._calls.write(self._connection)

    def _enrol(self, writes: Sequence[Enrolling], now: int) -> None:
        for write in writes:
            number = self._number(write.dispatch_id)
            write.failed = not number
            if number:
                channel = write.progress.channel
                rows = [(row.key, row.user_id) for row in write.rows]
                write.new = enrol(self._connection, number, channel, rows, now)
                write.highest = highest_key(self._connection, number, channel)
                advance(self._connection, number, write.progress)

    def _settle(self, write: Write, now: int) -> None:
        connection = self._connection
        match write:
            case Closing():
                number = self._number(write.dispatch_id)
                close_dispatch(connection, number, write.counts, write.kept, write.end, now)
            case Cancelling():
                cancel_dispatch(connection, self._number(write.dispatch_id))
            case Redriving():
                number = self._number(write.dispatch_id)
                write.deliveries = redrive(connection, number, write.wanted)
            case Retiring():
                write.more = retire(connection, write.before, MOST_RETIRED)
            case Tidying():
                tidy(connection, write.before, now)
            case _:
                pass

    def _numbered_starts(self, groups: Sequence[Batch]) -> list[tuple[int, Starts]]:
        """Each with the number of its dispatch, without those that were never opened."""
        found = [(self._number(one.dispatch_id), one) for group in groups for one in group.starts]
        return [(number, one) for number, one in found if number]

    def _number(self, dispatch_id: str) -> int:
        """The number of a dispatch, looked up once; 0 if it was never opened."""
        number = self._numbers.get(dispatch_id)
        if number is None:
            number = find_dispatch(self._connection, dispatch_id)
            if number:
                self._numbers[dispatch_id] = number
        return number


_Ended = list[tuple[int, Outcomes, Outcomes | None]]
"""The number of a dispatch, outcomes, and those of them whose deliveries the tables have."""


def _without(starts: Starts, keys: Collection[str]) -> Starts:
    """Those attempts whose deliveries are not among these."""
    if not keys:
        return starts
    return replace(starts, keys=[key for key in starts.keys if key not in keys])


def _of_one_moment(groups: Sequence[Batch]) -> Iterator[tuple[int, Sequence[Batch]]]:
    """Groups in order, so many at once as count as of one time: the last of them."""
    part: list[Batch] = []
    for group in groups:
        if part and group.at - part[0].at > _MOMENT:
            yield part[-1].at, part
            part = []
        part.append(group)
    if part:
        yield part[-1].at, part


MOST_A_COMMIT: Final = 5000
"""Writes and groups; `MOST_AHEAD` bounds how many deliveries these have."""

LINGER: Final = 0.02
"""Seconds that a write without a waiting task waits for one with a waiting task."""

GATHER: Final = 1.0
"""Seconds for which what is in the log may wait for its commit, if nothing else has to be written:
then most deliveries have ended, and each of these is one row."""


def trouble(error: Exception) -> str:
    """Why nothing was written, as the system says it; what a bug says may hold anything."""
    if isinstance(error, OSError):
        return (error.strerror or "the file cannot be written").lower()
    return str(error) if isinstance(error, sqlite3.Error) else "an internal error"


RETRY: Final = 1.0
"""Seconds after which a failed commit is retried, whatever else comes."""


class Mark(Enum):
    """Signals to the writers besides writes."""

    END = auto()


class TableWriter:
    """Commits writes and the groups of the redo log. `broken` says why the last one failed.

    `enrolled` is how many deliveries were enrolled in groups that are committed.
    """

    def __init__(self, ledger: JournalTables, token: trio.lowlevel.TrioToken) -> None:
        self.queue: SimpleQueue[Write | Batch | Mark] = SimpleQueue()
        self.ledger = ledger
        self.broken: str | None = None
        self.enrolled = 0
        self._token = token

    def run(self) -> None:
        """Write until the end is signalled."""
        groups: list[Batch] = []  # kept until a commit has them
        going_on = True
        while going_on:
            batch = self._next_batch()
            going_on = Mark.END not in batch
            groups += (item for item in batch if isinstance(item, Batch))
            writes = [item for item in batch if isinstance(item, Write)]
            if self._commit(groups, writes):
                self.enrolled += sum(group.deliveries for group in groups)
                groups = []
            if writes:
                self._token.run_sync_soon(_wake, writes)
            del batch, writes  # the next one may be long in coming, and this one be large

    def _commit(self, groups: Sequence[Batch], writes: Sequence[Write]) -> bool:
        try:
            self.ledger.commit(groups, writes)
        except Exception as error:  # a writer that died would leave everybody waiting
            self.broken = trouble(error)
            for write in writes:
                write.failed = True
            return False
        self.broken = None
        return True

    def _next_batch(self) -> list[Write | Batch | Mark]:
        batch: list[Write | Batch | Mark] = []
        with suppress(Empty):
            batch.append(self.queue.get(timeout=None if self.broken is None else RETRY))
            until = inf
            while len(batch) < MOST_A_COMMIT and (seconds := _can_wait(batch[-1])):
                now = time.monotonic()
                until = min(until, now + seconds)
                batch.append(self.queue.get(timeout=max(0.0, until - now)))
            while len(batch) < MOST_A_COMMIT:
                batch.append(self.queue.get_nowait())
        return batch


def _can_wait(item: Write | Batch | Mark) -> float:
    """Seconds it can wait for more to write with it; 0 if a task waits for it."""
    if isinstance(item, Batch):
        return GATHER if item.number else LINGER
    return LINGER if isinstance(item, Closing) else 0.0


def _wake(writes: Iterable[Write]) -> None:
    for write in writes:
        write.done.set()
