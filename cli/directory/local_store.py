"""The users or the templates of a store, as commands write and list them, whatever the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from carillon.cli.failure import BadInput, Failure, of_the_store
from carillon.messages.model import Document, UserFields
from carillon.stores.errors import StoreError
from carillon.stores.mongodb.url import MongoUrl
from carillon.stores.ports import KnownUsers

Collection: TypeAlias = Literal["user", "template"]


class Unusable(Exception):
    """The store failed in the middle of a read or a write; the text says why."""


@dataclass(frozen=True, slots=True)
class LocalStore:
    """`write` gives the number of documents written so far.

    `known` finds users by `_id` and by the field that it is given; `remove` takes `_id`s.
    """

    write: Callable[[Iterable[Document]], Iterator[int]]
    documents: Callable[[], Iterator[Document]]
    known: Callable[[str], KnownUsers]
    remove: Callable[[Sequence[str]], None]


def inspection(store: Path | MongoUrl) -> Callable[[Document], None]:
    """What raises ValueError for a document that this store could not hold."""
    if isinstance(store, Path):
        return lambda _: None
    from carillon.stores.mongodb.importer import check_document

    return check_document


def user_fields(store: Path | MongoUrl) -> UserFields:
    """Which fields of users hold what, by the configuration file, or else by the store.

    Raises:
        BadInput: the configuration file cannot be read, or is wrong about it.
        Failure: the store cannot be opened.
    """
    from carillon.settings import ConfigurationError
    from carillon.settings import user_fields as configured_fields

    try:
        configured = configured_fields()
    except ConfigurationError as error:
        raise BadInput(str(error)) from None
    if configured is not None or not isinstance(store, Path) or not store.exists():
        return configured or UserFields()
    from carillon.stores.sqlite.database import open_store
    from carillon.stores.sqlite.directory import indexed_fields

    try:
        with closing(open_store(store)) as connection:
            return indexed_fields(connection)
    except (StoreError, sqlite3.Error) as error:
        raise of_the_store(error) from None


@contextmanager
def opened(
    store: Path | MongoUrl,
    collection: Collection,
    *,
    made: bool,
    fields: UserFields | None = None,
) -> Iterator[LocalStore]:
    """A collection of a store, which is `made` when it is not there.

    With `fields` users can be found by them.

    Raises:
        Failure: the store is not there, or cannot be opened.
        Unusable: it failed inside the body.
    """
    if isinstance(store, Path) and not made and not store.exists():
        raise Failure(f"There is no store at {store}; `carillon {collection}s import` makes one")
    try:
        if isinstance(store, Path):
            with _embedded(store, collection) as local_store:
                yield local_store
        else:
            with _mongodb(store, collection, fields, made=made) as local_store:
                yield local_store
    except StoreError as error:
        raise of_the_store(error) from None


@contextmanager
def _embedded(path: Path, collection: Collection) -> Iterator[LocalStore]:
    from carillon.stores.sqlite.database import open_store
    from carillon.stores.sqlite.directory import import_documents, list_documents
    from carillon.stores.sqlite.importer import known_users, remove_users

    try:
        with closing(open_store(path)) as connection:
            yield LocalStore(
                partial(import_documents, connection, collection),
                partial(list_documents, connection, collection),
                partial(known_users, connection),
                partial(remove_users, connection),
            )
    except sqlite3.Error as error:
        raise Unusable(str(error)) from None


@contextmanager
def _mongodb(
    url: MongoUrl, collection: Collection, fields: UserFields | None, *, made: bool
) -> Iterator[LocalStore]:
    from pymongo.errors import PyMongoError

    from carillon.stores.mongodb.client import check_schema, connected, prepare, reason
    from carillon.stores.mongodb.directory import directory_indexes
    from carillon.stores.mongodb.importer import (
        import_documents,
        known_users,
        list_documents,
        remove_users,
    )

    try:
        with connected(url) as client:
            if made:
                prepare(client, url, {} if fields is None else directory_indexes(fields))
            else:
                check_schema(client, url)
            database = client[url.database]
            yield LocalStore(
                partial(import_documents, database, collection),
                partial(list_documents, database, collection),
                partial(known_users, database),
                partial(remove_users, database),
            )
    except PyMongoError as error:
        raise Unusable(reason(error)) from None
