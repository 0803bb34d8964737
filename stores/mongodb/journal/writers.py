"""The journal's writes in MongoDB that a task waits for before something starts.

Requests that come while a batch is written go together into the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Final, TypeVar
from uuid import uuid4

import trio

from carillon.messages.errors import Conflict, JournalUnavailable, Superseded
from carillon.messages.model import Receipt
from carillon.messages.ports.journal import AttemptEnd, AttemptStart, NewDispatch, Progress
from carillon.stores.mongodb.client import Database, MongoStore, Stored
from carillon.stores.mongodb.journal.writes import (
    Rows,
    UrgentWrites,
    Written,
    apply_endings,
    ending_document,
    insert_endings,
    owners,
    write_urgent,
)
from carillon.stores.mongodb.schema import attempt_id, row_id


class Outcomes:
    """What was handed over, in order. `turn` is held while some of it is being inserted.

    `rounds` tells how often a dispatch was driven again, `owner` which replica this is.
    """

    def __init__(self, owner: Callable[[], str], rounds: Mapping[str, int]) -> None:
        self.turn = trio.Lock()
        self._owner = owner
        self._rounds = rounds
        self._fresh: dict[str, Stored] = {}
        self._inserted: list[Stored] = []

    def add(self, receipt: Receipt) -> None:
        """Take an outcome; of a delivery the first one of a round counts, and each that is late."""
        place = uuid4().hex if receipt.late else str(self._rounds.get(receipt.dispatch_id, 0))
        now = time.time_ns() // 1_000_000
        ending = ending_document(receipt, place, self._owner(), now)
        self._fresh.setdefault(str(ending["_id"]), ending)

    def take(self) -> list[Stored]:
        """What is to be inserted. Give it back, or tell that it was inserted; within a `turn`."""
        taken, self._fresh = list(self._fresh.values()), {}
        return taken

    def give_back(self, endings: Sequence[Stored]) -> None:
        """They may not have been inserted."""
        self._fresh = {str(one["_id"]): one for one in endings} | self._fresh

    def inserted(self, endings: Sequence[Stored], ours: Collection[object]) -> None:
        """They are durable; those that are not ours were told before."""
        self._inserted += [one for one in endings if one["_id"] in ours]

    @property
    def to_apply(self) -> Sequence[Stored]:
        """What is durable and was not applied to its delivery yet, in order."""
        return self._inserted

    def applied(self, number: int) -> None:
        """The first so many of them were."""
        del self._inserted[:number]


T = TypeVar("T")

MOST_AT_ONCE: Final = 500
WRITE_SECONDS: Final = 5.0
"""Seconds after which a write is given up, and its caller gets an error."""
PROBE_SECONDS: Final = 0.5
"""How often a store that failed is asked whether it is back."""
NO_LEASE: Final = "This replica has no lease on its work"
_SUPERSEDED: Final = "Another replica goes on with this dispatch"


@dataclass(eq=False, slots=True)
class WriteRequest:
    """Something to be written, and the task that waits for it."""

    opening: NewDispatch | None = None
    rows: Rows | None = None
    reached: Progress | None = None
    start: AttemptStart | None = None
    new: frozenset[object] = frozenset()
    failure: Exception | None = None
    done: trio.Event = field(default_factory=trio.Event)
    then: Callable[[], None] | None = None
    """Called when it is done, for who does not wait in a task."""

    def end(self) -> None:
        """It is durable, or has failed to be."""
        self.done.set()
        if self.then is not None:
            self.then()


class UrgentWriter:
    """Writes what is asked for, batch by batch; `broken` says why the last one failed.

    `owner` is the replica this is; `may_write` whether it still holds its lease.
    """

    def __init__(
        self,
        store: MongoStore,
        owner: Callable[[], str],
        may_write: Callable[[], bool],
        endings: Outcomes,
    ) -> None:
        self.broken: str | None = None
        self._store = store
        self._owner = owner
        self._may_write = may_write
        self._endings = endings
        self._requests: list[WriteRequest] = []
        self._ends: list[AttemptEnd] = []
        self._news = trio.Event()

    async def write(self, request: WriteRequest) -> None:
        """Return when it is durable.

        Raises:
            JournalUnavailable: it may not be.
            Conflict: another dispatch has its idempotency key.
            Superseded: it is another replica's.
        """
        self.hand_over(request)
        await request.done.wait()
        if request.failure is not None:
            raise request.failure

    def hand_over(self, *requests: WriteRequest) -> None:
        """Write it without waiting for that."""
        self._requests += requests
        self._news.set()

    def end(self, attempt: AttemptEnd) -> None:
        """Write it with the next batch."""
        self._ends.append(attempt)

    async def run(self) -> None:
        """Write for ever."""
        while True:
            with trio.move_on_after(inf if self.broken is None else PROBE_SECONDS):
                await self._news.wait()
            self._news = trio.Event()
            while self._requests:
                requests, self._requests = (
                    self._requests[:MOST_AT_ONCE],
                    self._requests[MOST_AT_ONCE:],
                )
                await self._write(requests)
            if self.broken is not None:
                await self._probe()

    async def flush(self) -> None:
        """Write the ends of attempts that wait for company. Raises JournalUnavailable."""
        if self._ends:
            await self.write(WriteRequest())

    async def _write(self, requests: Sequence[WriteRequest]) -> None:
        ends, self._ends = self._ends, []
        try:
            self._check_lease()
            async with self._endings.turn:
                urgent = self._urgent(requests, ends)
                written = await self._written(urgent)
            await self._notify(requests, written, urgent.owner)
            self._check_lease()  # a process may have been stopped meanwhile, and taken for dead
        except JournalUnavailable as error:
            self._ends = [*ends, *self._ends]
            self.broken = str(error)
            for one in requests:
                one.failure = JournalUnavailable(str(error))
        else:
            self.broken = None
        for one in requests:
            one.end()

    async def _written(self, urgent: UrgentWrites) -> Written:
        try:
            written = await self._do(partial(write_urgent, urgent=urgent), WRITE_SECONDS)
        except BaseException:
            self._endings.give_back(urgent.endings)
            raise
        self._endings.inserted(urgent.endings, written.ended)
        return written

    def _check_lease(self) -> None:
        if not self._may_write():
            raise JournalUnavailable(NO_LEASE)

    def _urgent(self, requests: Sequence[WriteRequest], ends: Sequence[AttemptEnd]) -> UrgentWrites:
        now = time.time_ns() // 1_000_000
        return UrgentWrites(
            owner=self._owner(),
            now=now,
            openings=[one.opening for one in requests if one.opening is not None],
            rows=[one.rows for one in requests if one.rows is not None and one.rows.rows],
            reached=[
                (one.rows.dispatch_id, one.reached)
                for one in requests
                if one.rows is not None and one.reached is not None
            ],
            endings=self._endings.take(),
            ends=ends,
            starts=[one.start for one in requests if one.start is not None],
        )

    async def _notify(self, requests: Sequence[WriteRequest], written: Written, owner: str) -> None:
        refused = [
            one for one in requests if one.start is not None and not _began(one.start, written)
        ]
        whose = await self._owners(refused) if refused else {}
        for one in requests:
            if one.opening is not None and one.opening.id not in written.opened:
                text = "A request with this Idempotency-Key is just being accepted"
                one.failure = Conflict(text)
            if one.rows is not None:
                one.new = frozenset(written.new.get(one.rows.by, ()))
                if one.reached is not None and one.rows.dispatch_id in written.lost:
                    one.failure = Superseded(_SUPERSEDED)
        for one in refused:
            if one.start is not None:
                is_ours = whose.get(one.start.dispatch_id) == owner
                one.failure = Superseded(_SUPERSEDED, in_doubt=is_ours)

    async def _owners(self, refused: Sequence[WriteRequest]) -> dict[str, str | None]:
        ids = sorted({one.start.dispatch_id for one in refused if one.start is not None})
        return await self._do(lambda database: owners(database, ids), WRITE_SECONDS)

    async def _probe(self) -> None:
        try:
            await self._do(lambda database: database.command("ping"), PROBE_SECONDS)
        except JournalUnavailable:
            return
        if self._may_write():
            self.broken = None

    async def _do(self, job: Callable[[Database], T], within: float) -> T:
        return await self._store.run(job, within, JournalUnavailable, "write the journal")


def _began(start: AttemptStart, written: Written) -> bool:
    row = row_id(start.dispatch_id, start.channel, start.key)
    return attempt_id(row, start.number) in written.started


BACKGROUND_SECONDS: Final = 10.0
LINGER: Final = 0.02
"""Seconds that outcomes wait for more when no task waits for them."""
RETRY: Final = 0.5
"""Seconds until what could not be written is tried again."""

Job = Callable[[Database, int], int]
"""What is done at a time in milliseconds since 1970; gives a number. It may be done twice."""


@dataclass(eq=False, slots=True)
class Ordered:
    """A job that a task waits for; it follows all outcomes that were handed over before."""

    job: Job
    result: int = 0
    failure: JournalUnavailable | None = None
    done: trio.Event = field(default_factory=trio.Event)


class BackgroundWriter:
    """Writes in the order of what was handed over; `broken` says why the last write failed."""

    def __init__(self, store: MongoStore, endings: Outcomes) -> None:
        self.broken: str | None = None
        self._store = store
        self._endings = endings
        self._ordered: list[Ordered] = []
        self._news = trio.Event()
        self._urgent = trio.Event()

    def record(self, receipt: Receipt) -> None:
        """Write an outcome soon."""
        self._endings.add(receipt)
        self._news.set()

    async def do(self, job: Job) -> int:
        """Do a job after all that was handed over; what it gives. Raises JournalUnavailable."""
        ordered = Ordered(job)
        self._ordered.append(ordered)
        self._news.set()
        self._urgent.set()
        await ordered.done.wait()
        if ordered.failure is not None:
            raise ordered.failure
        return ordered.result

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self._news.wait()
            if self.broken is not None:
                await trio.sleep(RETRY)
            with trio.move_on_after(LINGER):
                await self._urgent.wait()
            self._news, self._urgent = trio.Event(), trio.Event()
            await self._write(self._ordered)

    async def _write(self, ordered: list[Ordered]) -> None:
        self._ordered = []
        try:
            await self._insert()
            while self._endings.to_apply:
                await self._apply()
        except JournalUnavailable as error:
            self._failed(error, ordered)
            self._news.set()
            return
        for one in ordered:
            try:
                one.result = await self._done(one.job)
            except JournalUnavailable as error:
                self._failed(error, [one])
            one.done.set()

    async def _insert(self) -> None:
        async with self._endings.turn:
            fresh = self._endings.take()
            if not fresh:
                return
            try:
                ours = await self._done(lambda database, _now: insert_endings(database, fresh))
            except BaseException:
                self._endings.give_back(fresh)
                raise
            self._endings.inserted(fresh, ours)

    async def _apply(self) -> None:
        part = self._endings.to_apply[:MOST_AT_ONCE]
        await self._done(lambda database, _now: apply_endings(database, part))
        self._endings.applied(len(part))

    async def _done(self, job: Callable[[Database, int], T]) -> T:
        now = time.time_ns() // 1_000_000
        done = await self._store.run(
            lambda database: job(database, now),
            BACKGROUND_SECONDS,
            JournalUnavailable,
            "write the journal",
        )
        self.broken = None
        return done

    def _failed(self, error: JournalUnavailable, ordered: Sequence[Ordered]) -> None:
        self.broken = str(error)
        for one in ordered:
            one.failure = JournalUnavailable(str(error))
            one.done.set()
