"""Each store's journal for tests: opened, crashed as by `kill -9`, and opened again."""

from __future__ import annotations

import shutil
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol, TypeVar

from carillon.messages.errors import TryLater
from carillon.messages.model import Receipt
from carillon.messages.ports.journal import AttemptEnd, Journal
from carillon.messages.ports.records import Records, Recovery
from carillon.stores.mongodb.client import Database, MongoStore
from carillon.stores.mongodb.journal.journal import MongoJournal
from carillon.stores.mongodb.reading import MongoReader, MongoRecords
from carillon.stores.mongodb.recovery import MongoRecovery
from carillon.stores.sqlite.database import open_store
from carillon.stores.sqlite.journal.journal import SqliteJournal
from carillon.stores.sqlite.reading import SqliteReader, SqliteRecords, SqliteRecovery

T = TypeVar("T")
End = AttemptEnd | Receipt


class Bench(Protocol):
    """A journal that is `open` until it crashes or is closed."""

    journal: Journal
    records: Records
    recovery: Recovery

    @abstractmethod
    async def open(self) -> None:
        """Open it, with what is durable."""

    @abstractmethod
    async def crash(self) -> None:
        """End it and lose what is not durable."""

    @abstractmethod
    async def close(self) -> None:
        """End it."""

    @abstractmethod
    def possible(self, ends: Sequence[End]) -> Iterable[Sequence[int]]:
        """The places of those that may be durable after a crash, for each way it may be."""


class SqliteBench(Bench):
    """The embedded store. A crash goes on with a copy of its files as they are at that moment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._stack = AsyncExitStack()
        open_store(self._path).close()

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._number}.db"

    async def open(self) -> None:
        self._stack = AsyncExitStack()
        self.journal = journal = SqliteJournal(self._path)
        await self._stack.enter_async_context(journal.running())
        reader = SqliteReader(self._path, journal.flush)
        self._stack.callback(reader.close)
        self.records, self.recovery = SqliteRecords(reader), SqliteRecovery(reader)

    async def crash(self) -> None:
        old = self._path
        self._number += 1
        for file in old.parent.glob(f"{old.name}*"):
            name = file.name.replace(old.name, self._path.name, 1)
            shutil.copy(file, self._folder / name)
        await self.close()

    async def close(self) -> None:
        await self._stack.aclose()

    def possible(self, ends: Sequence[End]) -> Iterable[Sequence[int]]:
        return (range(kept) for kept in range(len(ends) + 1))


class SeverableStore(MongoStore):
    """One that nothing reaches once it is `severed`, as if its process were dead."""

    severed = False

    async def run(
        self, job: Callable[[Database], T], within: float, failure: type[TryLater], task: str
    ) -> T:
        if self.severed:
            raise failure("severed")
        return await super().run(job, within, failure, task)


class MongoBench(Bench):
    """MongoDB. A crash is a replica that nobody hears of any more, and another one after it.

    Such a replica lives alone unless `living` says who else does, and holds its lease while
    `may_write`.
    """

    journal: MongoJournal

    def __init__(self, connect: Callable[[], SeverableStore], name: str = "replica") -> None:
        self.living: frozenset[str] | None = None
        self.may_write = True
        self._connect = connect
        self._name = name
        self._number = 0
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        self._number += 1
        self._stack = AsyncExitStack()
        self._store = self._connect()
        owner = self._name if self._number == 1 else f"{self._name} {self._number}"
        self.journal = MongoJournal(self._store, lambda: owner, lambda: self.may_write)
        await self._stack.enter_async_context(self.journal.running())
        reader = MongoReader(self._store, self.journal.flush)
        self.records = MongoRecords(reader)
        self.recovery = MongoRecovery(
            reader, self.journal, lambda: owner, lambda: self.living or frozenset({owner})
        )

    async def crash(self) -> None:
        self._store.severed = True
        await self.close()

    async def close(self) -> None:
        await self._stack.aclose()

    def possible(self, ends: Sequence[End]) -> Iterable[Sequence[int]]:
        first = [place for place, end in enumerate(ends) if isinstance(end, AttemptEnd)]
        rest = [place for place in range(len(ends)) if place not in first]
        for kept in range(len(first) + 1):
            for also in range(len(rest) + 1):
                yield [*first[:kept], *rest[:also]]
