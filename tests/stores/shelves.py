"""Each store behind one face, so that one suite holds all of them to the same contract."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Literal, Protocol

import trio

from carillon.messages.model import Document, UserFields
from carillon.messages.ports.directory import Directory
from carillon.messages.ports.handovers import Handovers
from carillon.messages.ports.outbox import Outbox
from carillon.stores.mongodb.client import MongoStore, connected, prepare
from carillon.stores.mongodb.directory import MongoDirectory, directory_indexes
from carillon.stores.mongodb.handovers import MongoHandovers
from carillon.stores.mongodb.importer import import_documents as import_into_mongodb
from carillon.stores.mongodb.importer import list_documents as list_mongodb
from carillon.stores.mongodb.live_settings import SETTINGS_INDEXES, MongoSettings
from carillon.stores.mongodb.outbox import OUTBOX_INDEXES, MongoOutbox
from carillon.stores.mongodb.url import MongoUrl
from carillon.stores.ports import AuditEntry, LiveSettings
from carillon.stores.sqlite.database import open_store
from carillon.stores.sqlite.directory import (
    SqliteDirectory,
    import_documents,
    index_users,
    list_documents,
)
from carillon.stores.sqlite.handovers import SqliteHandovers
from carillon.stores.sqlite.live_settings import SqliteSettings
from carillon.stores.sqlite.outbox import SqliteOutbox

Collection = Literal["user", "template"]
SECONDS = 10.0


class Shelf(Protocol):
    """A store with nothing in it; what it opens may be opened again and finds what was written."""

    @abstractmethod
    def add(self, collection: Collection, documents: Sequence[Document]) -> None:
        """Import documents."""

    @abstractmethod
    def documents(self, collection: Collection) -> list[Document]:
        """List documents."""

    @abstractmethod
    def directory(self, fields: UserFields) -> AbstractContextManager[Directory]:
        """Its users and templates, as a service reads them."""

    @abstractmethod
    def handovers(self, now: int) -> AbstractContextManager[Handovers]:
        """What was handed over, at a time in milliseconds since 1970."""

    @abstractmethod
    def outbox(self) -> AbstractContextManager[Outbox]:
        """Its events on their way."""

    @abstractmethod
    def settings(self) -> AbstractContextManager[LiveSettings]:
        """Its live settings."""


class SqliteShelf(Shelf):
    """The embedded store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        open_store(path).close()

    def add(self, collection: Collection, documents: Sequence[Document]) -> None:
        with closing(open_store(self.path)) as connection:
            list(import_documents(connection, collection, documents))

    def documents(self, collection: Collection) -> list[Document]:
        with closing(open_store(self.path)) as connection:
            return list(list_documents(connection, collection))

    @contextmanager
    def directory(self, fields: UserFields) -> Iterator[Directory]:
        with closing(open_store(self.path)) as connection:
            index_users(connection, fields)
        with closing(SqliteDirectory(self.path, fields)) as it:
            yield it

    @contextmanager
    def settings(self) -> Iterator[LiveSettings]:
        with closing(SqliteSettings(self.path)) as it:
            yield it

    @contextmanager
    def handovers(self, now: int) -> Iterator[Handovers]:
        yield SqliteHandovers(self.path, lambda: now)

    @contextmanager
    def outbox(self) -> Iterator[Outbox]:
        with closing(SqliteOutbox(self.path)) as it:
            yield it


class MongoShelf(Shelf):
    """A database of MongoDB."""

    def __init__(self, url: MongoUrl) -> None:
        self.url = url

    def add(self, collection: Collection, documents: Sequence[Document]) -> None:
        with connected(self.url) as client:
            list(import_into_mongodb(client[self.url.database], collection, documents))

    def documents(self, collection: Collection) -> list[Document]:
        with connected(self.url) as client:
            return list(list_mongodb(client[self.url.database], collection))

    @contextmanager
    def directory(self, fields: UserFields) -> Iterator[Directory]:
        with self.store(fields) as store:
            yield MongoDirectory(store, fields, SECONDS)

    @contextmanager
    def settings(self) -> Iterator[LiveSettings]:
        with self.store() as store:
            yield MongoSettings(store)

    @contextmanager
    def handovers(self, now: int) -> Iterator[Handovers]:
        with self.store() as store:
            yield MongoHandovers(store, lambda: now)

    @contextmanager
    def outbox(self) -> Iterator[Outbox]:
        with self.store() as store:
            yield MongoOutbox(store, lambda: "replica", lambda: frozenset({"replica"}))

    @contextmanager
    def store(self, fields: UserFields | None = None) -> Iterator[MongoStore]:
        with connected(self.url) as client:
            indexes = directory_indexes(fields or UserFields())
            prepare(client, self.url, {**indexes, **SETTINGS_INDEXES, **OUTBOX_INDEXES})
            yield MongoStore(client, self.url.database)


@asynccontextmanager
async def filled(
    shelf: Shelf,
    users: Sequence[Document] = (),
    templates: Sequence[Document] = (),
    fields: UserFields | None = None,
) -> AsyncGenerator[Directory]:
    """A directory with these documents."""
    await trio.to_thread.run_sync(shelf.add, "user", users)
    await trio.to_thread.run_sync(shelf.add, "template", templates)
    with shelf.directory(fields or UserFields()) as it:
        yield it


def entry(number: int = 0, provider: str | None = "sms-service", **after: int) -> AuditEntry:
    before: Document = dict.fromkeys(after, None)
    return AuditEntry(1_700_000_000_000 + number, "key-1", "change", provider, before, {**after})
