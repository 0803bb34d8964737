"""The users or the templates of a store, as commands write and list them, whatever the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from cli.failure import Failure
from messages.model import Document
from stores.errors import StoreError
from stores.mongodb_url import MongoUrl

Collection: TypeAlias = Literal["user", "template"]


class Unusable(Exception):
    """The store failed in the middle of a read or a write; the text says why."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """`write` gives the number of documents written so far."""

    write: Callable[[Iterable[Document]], Iterator[int]]
    documents: Callable[[], Iterator[Document]]


def inspection(store: Path | MongoUrl) -> Callable[[Document], None]:
    """What raises ValueError for a document that this store could not hold."""
    if isinstance(store, Path):
        return lambda _: None
    from stores.mongodb_import import check_document

    return check_document


@contextmanager
def opened(store: Path | MongoUrl, collection: Collection, *, made: bool) -> Iterator[Shelf]:
    """A collection of a store, which is `made` when it is not there.

    Raises:
        Failure: the store is not there, or cannot be opened.
        Unusable: it failed inside the body.
    """
    if isinstance(store, Path) and not made and not store.exists():
        raise Failure(f"There is no store at {store}; `carillon {collection}s import` makes one")
    try:
        if isinstance(store, Path):
            with _embedded(store, collection) as shelf:
                yield shelf
        else:
            with _mongodb(store, collection, made=made) as shelf:
                yield shelf
    except StoreError as error:
        raise Failure(str(error)) from None


@contextmanager
def _embedded(path: Path, collection: Collection) -> Iterator[Shelf]:
    from stores.sqlite import open_store
    from stores.sqlite_directory import import_documents, list_documents

    try:
        with closing(open_store(path)) as connection:
            yield Shelf(
                partial(import_documents, connection, collection),
                partial(list_documents, connection, collection),
            )
    except sqlite3.Error as error:
        raise Unusable(str(error)) from None


@contextmanager
def _mongodb(url: MongoUrl, collection: Collection, *, made: bool) -> Iterator[Shelf]:
    from pymongo.errors import PyMongoError

    from stores.mongodb import check_schema, connected, prepare, reason
    from stores.mongodb_import import import_documents, list_documents

    try:
        with connected(url) as client:
            if made:
                prepare(client, url, {})
            else:
                check_schema(client, url)
            database = client[url.database]
            yield Shelf(
                partial(import_documents, database, collection),
                partial(list_documents, database, collection),
            )
    except PyMongoError as error:
        raise Unusable(reason(error)) from None
