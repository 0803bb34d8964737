"""Users and templates in MongoDB as a running service edits them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import bson
from pymongo.errors import DuplicateKeyError

from carillon.messages.errors import BadCommand, DirectoryUnavailable
from carillon.messages.model import Document, UserFields
from carillon.stores.mongodb.client import Database, MongoStore
from carillon.stores.mongodb.documents import (
    as_document,
    is_storable,
    known_by,
    place,
    ranges_after,
)
from carillon.stores.mongodb.importer import (
    COLLECTIONS,
    check_document,
    import_documents,
    known_users,
    remove_users,
    stored_forms,
)
from carillon.stores.ports import Collection, DocumentPage, DocumentStore, KnownUsers

T = TypeVar("T")

_SECONDS: Final = 60.0
_MOST_BYTES: Final = 8 * 1024 * 1024
"""Bytes of the documents of a page after which it ends."""


class MongoDocuments:
    """Implements `stores.ports.DocumentStore`; without transactions what is staged is written."""

    def __init__(self, database: Database, fields: UserFields) -> None:
        self._database = database
        self._fields = fields

    def known(self, field: str) -> KnownUsers:
        """See the port."""
        return known_users(self._database, field)

    def get(self, collection: Collection, key: str) -> Document | None:
        """See the port."""
        query = {"_id": {"$in": known_by(key)}}
        found = self._database[COLLECTIONS[collection]].find_one(query)
        return None if found is None else as_document(found)

    def page(
        self, collection: Collection, cluster: str | None, after: str, limit: int
    ) -> DocumentPage:
        """See the port."""
        if cluster is not None and not is_storable(cluster):
            return DocumentPage([], None)
        only = {} if cluster is None else {self._fields.clusters: cluster}
        found, size, last = list[Document](), 0, ""
        rows = self._database[COLLECTIONS[collection]]
        try:
            for following in ranges_after(after or None):
                query = {"$and": [only, {"_id": following}]} if only else {"_id": following}
                most = limit + 1 - len(found)
                for stored in rows.find(query, sort=[("_id", 1)], limit=most, batch_size=100):
                    if len(found) == limit or size > _MOST_BYTES:
                        return DocumentPage(found, last)
                    found.append(as_document(stored))
                    size += len(bson.encode(stored))
                    last = place(stored["_id"])
        except OverflowError:
            raise BadCommand("cursor must be the next of an earlier answer") from None
        return DocumentPage(found, None)

    def put(self, collection: Collection, document: Document) -> bool:
        """See the port."""
        self.check(document)
        [stored] = stored_forms(self._database, COLLECTIONS[collection], [document])
        target = self._database[COLLECTIONS[collection]]
        try:
            written = target.replace_one({"_id": stored["_id"]}, stored, upsert=True)
        except DuplicateKeyError:  # somebody else made it meanwhile
            written = target.replace_one({"_id": stored["_id"]}, stored, upsert=True)
        return written.matched_count == 0

    def remove(self, collection: Collection, key: str) -> bool:
        """See the port."""
        target = self._database[COLLECTIONS[collection]]
        return target.delete_many({"_id": {"$in": known_by(key)}}).deleted_count > 0

    def check(self, document: Document) -> None:
        """See the port."""
        check_document(document)

    def stage(
        self, collection: Collection, documents: Sequence[Document], replaced: Sequence[str]
    ) -> None:
        """See the port."""
        if replaced:
            remove_users(self._database, replaced)
        for _ in import_documents(self._database, collection, documents):
            pass

    def finish(self, collection: Collection) -> None:
        """See the port: it is written already."""

    def abort(self) -> None:
        """See the port: what is written stays."""


class MongoEditing:
    """Implements `stores.ports.Editing`."""

    def __init__(self, store: MongoStore, fields: UserFields) -> None:
        self._store = store
        self._fields = fields

    async def run(self, job: Callable[[DocumentStore], T]) -> T:
        """See the port."""
        return await self._store.run(
            lambda database: job(MongoDocuments(database, self._fields)),
            _SECONDS,
            DirectoryUnavailable,
            "read and write users and templates",
        )
