"""The journal's writes in MongoDB that follow: outcomes, and the ends of dispatches.

Outcomes are kept until they are written, however long the store is away.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import trio

from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import Receipt
from carillon.stores.mongodb import Database, MongoStore
from carillon.stores.mongodb_batch import apply_endings, insert_endings
from carillon.stores.mongodb_endings import Endings

T = TypeVar("T")

MOST_AT_ONCE: Final = 500
WRITE_SECONDS: Final = 10.0
LINGER: Final = 0.02
"""Seconds that outcomes wait for company when nobody waits for them."""
RETRY: Final = 0.5
"""Seconds until what could not be written is tried again."""

Job = Callable[[Database, int], int]
"""What is done at a time in milliseconds since 1970; gives a number. It may be done twice."""


@dataclass(eq=False, slots=True)
class Ordered:
    """A job that somebody waits for; it follows all outcomes that were handed over before."""

    job: Job
    result: int = 0
    failure: JournalUnavailable | None = None
    done: trio.Event = field(default_factory=trio.Event)


class RearWriter:
    """Writes in the order of what was handed over; `broken` says why the last write failed."""

    def __init__(self, store: MongoStore, endings: Endings) -> None:
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
            WRITE_SECONDS,
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
