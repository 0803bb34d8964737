"""Users and templates into MongoDB and out of it again, for commands: no trio, one caller."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Literal
from uuid import uuid4

import bson
import pymongo
from bson.errors import BSONError
from pymongo import ReplaceOne

from carillon.messages.model import Document, JsonValue
from carillon.stores.mongodb.client import Database, Stored
from carillon.stores.mongodb.directory import TEMPLATES, USERS
from carillon.stores.mongodb.documents import as_document, known_by, new_id
from carillon.stores.ports import KnownUser, KnownUsers

COLLECTIONS: Final[Mapping[Literal["user", "template"], str]] = {
    "user": USERS,
    "template": TEMPLATES,
}
_ROWS_AT_ONCE: Final = 200
_PART_SECONDS: Final = 60.0
_LARGEST: Final = 16 * 1024 * 1024 - 16 * 1024
_MOST_LEVELS: Final = 100


def check_document(document: Document) -> None:
    """Raise ValueError for a document that MongoDB cannot hold."""
    if any(name.startswith("$") for name in document):
        raise ValueError("MongoDB keeps no field whose name begins with $")
    if _is_deeper(document, _MOST_LEVELS):
        raise ValueError(f"MongoDB cannot hold it: it is nested deeper than {_MOST_LEVELS} levels")
    try:
        size = len(bson.encode(document))
    except (BSONError, OverflowError, UnicodeEncodeError) as error:
        raise ValueError(f"MongoDB cannot hold it: {error}") from None
    if size > _LARGEST:
        raise ValueError("MongoDB cannot hold it: a document takes at most 16 MB")


def import_documents(
    database: Database, collection: Literal["user", "template"], documents: Iterable[Document]
) -> Iterator[int]:
    """Write documents, replacing those with a known `_id`; gives the number written so far.

    Writes in parts. A document without `_id` gets one; without `__STATE__` it is PUBLIC. A `_id` is
    known by its text: one that is there as an ObjectId stays one, and a new one whose text is that
    of an ObjectId becomes one, as a MongoDB export means it. Raises PyMongoError.
    """
    written = 0
    left = iter(documents)
    while part := list(islice(left, _ROWS_AT_ONCE)):
        with pymongo.timeout(_PART_SECONDS):
            _write(database, COLLECTIONS[collection], part)
        written += len(part)
        yield written


def list_documents(
    database: Database, collection: Literal["user", "template"]
) -> Iterator[Document]:
    """Every document by `_id`, whatever its state. Raises PyMongoError."""
    for stored in database[COLLECTIONS[collection]].find().sort("_id", 1):
        yield as_document(stored)


def known_users(database: Database, field: str) -> KnownUsers:
    """What finds users by `_id` and by this field, which should be indexed. Raises PyMongoError."""

    def known(ids: Sequence[str]) -> Iterable[KnownUser]:
        values = [value for text in ids for value in known_by(text)]
        query = {"$or": [{field: {"$in": values}}, {"_id": {"$in": values}}]}
        with pymongo.timeout(_PART_SECONDS):
            found = list(database[USERS].find(query, {field: 1, "__STATE__": 1}))
        for document in map(as_document, found):
            value, state = document.get(field), document.get("__STATE__")
            user_id = None if value is None else str(value)
            yield KnownUser(str(document["_id"]), user_id, state == "PUBLIC")

    return known


def remove_users(database: Database, keys: Sequence[str]) -> None:
    """Take users out by the texts of their `_id`s. Raises PyMongoError."""
    values = [value for key in keys for value in known_by(key)]
    with pymongo.timeout(_PART_SECONDS):
        database[USERS].delete_many({"_id": {"$in": values}})


def _write(database: Database, collection: str, part: Sequence[Document]) -> None:
    stored = stored_forms(database, collection, part)
    writes = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in stored]
    database[collection].bulk_write(writes)


def stored_forms(database: Database, collection: str, part: Sequence[Document]) -> Sequence[Stored]:
    """Documents with the `_id` and the state that they get. Raises PyMongoError."""
    texts = [_text(document) for document in part]
    known = _known(database, collection, texts)
    stored: list[Stored] = []
    for text, document in zip(texts, part, strict=True):
        key = known.get(text)
        state = str(document.get("__STATE__", "PUBLIC"))
        whole: Stored = {"_id": None, "__STATE__": state, **document}
        whole["_id"] = new_id(text) if key is None else key
        stored.append(whole)
    return stored


def _is_deeper(value: JsonValue, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)


def _text(document: Document) -> str:
    given = document.get("_id")
    return str(uuid4()) if given in (None, "") else str(given)


def _known(database: Database, collection: str, texts: Sequence[str]) -> dict[str, object]:
    """The `_id` of each text that could be there as something else than a text, and is there."""
    possible = [known for text in texts if len(known := known_by(text)) > 1]
    query = {"_id": {"$in": [value for known in possible for value in known]}}
    found = database[collection].find(query, {"_id": 1})
    return {str(as_document(one)["_id"]): one["_id"] for one in found}
