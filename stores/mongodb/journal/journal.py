"""The journal in MongoDB: what is handed over, and to which of its two writers.

Dispatches, deliveries and the starts of attempts, for which a task waits, go to the urgent writer;
what follows goes to the background one. So a start waits for one write, whatever else is queued.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final
from uuid import uuid4

import trio

from carillon.messages.errors import Conflict, JournalUnavailable, unwritable
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
from carillon.stores.mongodb.client import Database, MongoStore
from carillon.stores.mongodb.journal.dispatches import (
    cancel_dispatch,
    close_dispatch,
    redrive,
    retire,
    retire_keys,
    void,
)
from carillon.stores.mongodb.journal.writers import (
    NO_LEASE,
    BackgroundWriter,
    Outcomes,
    UrgentWriter,
    WriteRequest,
)
from carillon.stores.mongodb.journal.writes import Rows

FAREWELL_SECONDS: Final = 10.0
"""How long the end of the service waits for the last outcomes to be written."""


class MongoJournal:
    """Implements `messages.ports.journal.Journal` while it is `running`, for one of several.

    `owner` names this replica; `may_write` tells whether it still holds its lease.

    When the store is lost in the middle of a write, JournalUnavailable may be raised for one that
    was done. A dispatch that was refused so is made void as soon as the store is back, and an
    attempt that was counts as made.
    """

    def __init__(
        self,
        store: MongoStore,
        owner: Callable[[], str],
        may_write: Callable[[], bool],
    ) -> None:
        self.rounds: dict[str, int] = {}
        self.strays: set[str] = set()
        self._owner = owner
        self._may_write = may_write
        endings = Outcomes(owner, self.rounds)
        self._urgent = UrgentWriter(store, owner, may_write, endings)
        self._background = BackgroundWriter(store, endings)
        self._unsure: dict[tuple[str, Channel], str] = {}
        self._nursery: trio.Nursery

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run the writers around the body. What was handed over is written before it ends."""
        # Whatever is cancelled, the writers go on until the last outcomes are written.
        writing = [trio.CancelScope(shield=True), trio.CancelScope(shield=True)]
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(_within, writing[0], self._urgent.run)
            self._nursery.start_soon(_within, writing[1], self._background.run)
            try:
                yield
            finally:
                with trio.move_on_after(FAREWELL_SECONDS, shield=True):
                    with suppress(JournalUnavailable):
                        await self.flush()
                for scope in writing:
                    scope.cancel()
                self._nursery.cancel_scope.cancel()

    @property
    def is_working(self) -> bool:
        """Whether the last writes went through, and more may follow."""
        return self.trouble is None

    @property
    def trouble(self) -> str | None:
        """See the port."""
        broken = self._urgent.broken or self._background.broken
        return NO_LEASE if broken is None and not self._may_write() else broken

    async def open(self, dispatch: NewDispatch, rows: Sequence[Enrolment] = ()) -> Sequence[bool]:
        """See the port. Raises Conflict when another dispatch has just got its idempotency key."""
        if not self.is_working:  # another task may already wait some seconds for the same answer
            raise unwritable(self.trouble)
        first = Rows(dispatch.id, rows, _token())
        self.rounds[dispatch.id] = 0
        owner = self._owner()
        try:
            await self._urgent.write(WriteRequest(opening=dispatch, rows=first))
        except BaseException as error:
            self._forget(dispatch.id)
            if not isinstance(error, Conflict | JournalUnavailable):
                raise
            self._nursery.start_soon(self._void, dispatch.id, owner)
            raise
        return _first_of_each(first)

    async def enrol(
        self, dispatch_id: str, rows: Sequence[Enrolment], progress: Progress
    ) -> Sequence[bool]:
        """See the port."""
        return await self._enrol(dispatch_id, rows, progress)

    async def offer(
        self, dispatch_id: str, rows: Sequence[Enrolment], progress: Progress
    ) -> Sequence[bool]:
        """Enrol what any replica may take; see `messages.ports.work_sharing.SharedQueue`."""
        return await self._enrol(dispatch_id, rows, progress, offered=True)

    async def _enrol(
        self,
        dispatch_id: str,
        rows: Sequence[Enrolment],
        progress: Progress,
        *,
        offered: bool = False,
    ) -> Sequence[bool]:
        place = dispatch_id, progress.channel
        # What an earlier call wrote before it failed is new to the caller that retries.
        self._unsure[place] = token = self._unsure.get(place) or _token()
        several = Rows(dispatch_id, rows, token, offered)
        request = WriteRequest(rows=several, reached=progress)
        await self._urgent.write(request)
        del self._unsure[place]
        is_first = _first_of_each(several)
        return [
            row in request.new and first for row, first in zip(several.ids, is_first, strict=True)
        ]

    def start_all(self, attempts: Sequence[AttemptStart], told: StartsTold) -> None:
        """See the port. One fails with Superseded that another replica made under its number."""
        requests = [WriteRequest(start=attempt) for attempt in attempts]

        def end() -> None:
            failures = {at: one.failure for at, one in enumerate(requests)}
            told({at: it for at, it in failures.items() if isinstance(it, JournalUnavailable)})

        requests[-1].then = end  # they are written in their order
        self._urgent.hand_over(*requests)

    def end(self, attempt: AttemptEnd) -> None:
        """See the port."""
        self._urgent.end(attempt)

    def record(self, receipt: Receipt) -> None:
        """See the port."""
        self._background.record(receipt)

    async def close(
        self,
        dispatch_id: str,
        counts: Mapping[Outcome, int],
        kept: str | bytes | None,
        end: DispatchEnd | None = None,
    ) -> None:
        """See the port."""
        owner = self._owner()

        def write(database: Database, now: int) -> int:
            close_dispatch(database, dispatch_id, owner, counts, kept, end or DispatchEnd(), now)
            return 0

        await self._background.do(write)
        self._forget(dispatch_id)

    async def cancel(self, dispatch_id: str) -> None:
        """See the port. Anybody may cancel what any replica sees through."""

        def write(database: Database, _now: int) -> int:
            cancel_dispatch(database, dispatch_id)
            return 0

        await self._background.do(write)

    async def redrive(self, dispatch_id: str, wanted: RecordFilter) -> int:
        """See the port."""
        owner = self._owner()
        self.strays.add(dispatch_id)
        number = await self._background.do(
            lambda database, _now: redrive(database, dispatch_id, wanted, owner)
        )
        self.strays.discard(dispatch_id)
        return number

    async def retire(self, before: int) -> bool:
        """Erase a part of what ended before a time, in milliseconds since 1970; whether more is.

        Raises JournalUnavailable.
        """
        return bool(await self._background.do(lambda database, _now: retire(database, before)))

    async def retire_keys(self, before: int) -> bool:
        """Erase a part of the idempotency keys that expired before a time, as `retire` does.

        Raises JournalUnavailable.
        """
        return bool(await self._background.do(lambda database, _now: retire_keys(database, before)))

    async def flush(self) -> None:
        """See the port."""
        await self._urgent.flush()
        await self._background.do(lambda _database, _now: 0)

    def _forget(self, dispatch_id: str) -> None:
        self.rounds.pop(dispatch_id, None)
        for place in [place for place in self._unsure if place[0] == dispatch_id]:
            del self._unsure[place]

    async def _void(self, dispatch_id: str, owner: str) -> None:
        while True:
            with suppress(JournalUnavailable):
                await self._background.do(partial(_make_void, dispatch_id, owner))
                return


async def _within(scope: trio.CancelScope, run: Callable[[], Awaitable[None]]) -> None:
    with scope:
        await run()


def _make_void(dispatch_id: str, owner: str, database: Database, now: int) -> int:
    void(database, dispatch_id, owner, now)
    return 0


def _token() -> str:
    return uuid4().hex


def _first_of_each(rows: Rows) -> list[bool]:
    first = {row: at for at, row in reversed(list(enumerate(rows.ids)))}
    return [first[row] == at for at, row in enumerate(rows.ids)]
