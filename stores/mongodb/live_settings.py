"""Live settings and their audit in MongoDB."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from pymongo import IndexModel, ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError

from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import Document
from carillon.stores.cursors import number_in
from carillon.stores.mongodb.client import ABOUT, Database, Indexes, MongoStore, Stored
from carillon.stores.ports import AuditEntry, AuditPage

T = TypeVar("T")
OVERRIDES: Final = "overrides"
AUDIT: Final = "audit"
SETTINGS_INDEXES: Final[Indexes] = {AUDIT: [IndexModel([("provider", 1), ("_id", -1)])]}

_NOBODY: Final = ""
"""No provider's name: the document that holds entries for no override."""
_SECONDS: Final = 10.0
_DUPLICATE: Final = 11000


class MongoSettings:
    """Implements `stores.ports.LiveSettings` without transactions, which need a replica set.

    A provider's document holds its override and, under `pending`, the entries of changes whose
    place in the audit is not sure yet. One write sets the one and adds the other: a crash leaves
    both or neither. Then the entries are copied to the audit and removed from `pending`; every
    read of the audit does that first, so that what a crash left there is seen. Copying twice is
    harmless, because an entry's `_id` is its number.

    Numbers are drawn from a counter before the write; a crash in between leaves a gap. A change
    whose number is not above that of the one in force was overtaken by another replica's, or is a
    repeat after a lost reply: its entry goes to the audit and the override stays. When the store is
    lost in the middle of a write, JournalUnavailable may be raised for one that was done.
    """

    def __init__(self, store: MongoStore) -> None:
        self._store = store

    async def overrides(self) -> Mapping[str, Document]:
        """See the port."""
        return await self._do(_overrides, "read")

    async def change(self, provider: str, override: Document, entry: AuditEntry) -> None:
        """See the port."""
        number = await self._do(lambda database: _draw(database, 1), "write")
        pending = [_stored(entry, number)]
        settings = json.dumps(override) if override else None
        await self._do(lambda database: _change(database, provider, settings, pending), "write")
        await self._settle()

    async def record(self, entries: Sequence[AuditEntry]) -> None:
        """See the port."""
        if not entries:
            return
        last = await self._do(lambda database: _draw(database, len(entries)), "write")
        first = last - len(entries) + 1
        pending = [_stored(entry, number) for number, entry in enumerate(entries, first)]
        await self._do(lambda database: _record(database, pending), "write")
        await self._settle()

    async def audit(self, provider: str | None, cursor: str, limit: int) -> AuditPage:
        """See the port."""
        before = number_in(cursor)
        return await self._do(lambda database: _audit(database, provider, before, limit), "read")

    async def _settle(self) -> None:
        with suppress(JournalUnavailable):  # it is durable, and the next reader settles it
            await self._do(_settle, "write")

    async def _do(self, job: Callable[[Database], T], what: str) -> T:
        return await self._store.run(job, _SECONDS, JournalUnavailable, f"{what} live settings")


def _overrides(database: Database) -> dict[str, Document]:
    found = database[OVERRIDES].find({"settings": {"$exists": True}}, {"settings": 1})
    return {str(one["_id"]): json.loads(str(one["settings"])) for one in found}


def _draw(database: Database, count: int) -> int:
    """The last of `count` new numbers."""
    drawn = database[ABOUT].find_one_and_update(
        {"_id": "audit"},
        {"$inc": {"last": count}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    return _whole((drawn or {}).get("last"))


def _change(
    database: Database, provider: str, settings: str | None, pending: Sequence[Stored]
) -> None:
    number = pending[-1]["_id"]
    kept: Stored = {"last": number}
    update: Stored = {"$set": kept, "$push": {"pending": {"$each": pending}}}
    if settings is None:
        update["$unset"] = {"settings": ""}
    else:
        kept["settings"] = settings
    try:
        database[OVERRIDES].update_one(
            {"_id": provider, "last": {"$lt": number}}, update, upsert=True
        )
    except DuplicateKeyError:  # a later one is in force, or this one already
        _copy(database, pending)


def _record(database: Database, pending: Sequence[Stored]) -> None:
    added = {"$push": {"pending": {"$each": pending}}}
    with suppress(DuplicateKeyError):  # two made the document at once: it is there now
        database[OVERRIDES].update_one({"_id": _NOBODY}, added, upsert=True)
        return
    database[OVERRIDES].update_one({"_id": _NOBODY}, added, upsert=True)


def _settle(database: Database) -> None:
    """Bring into the audit what waits beside the overrides."""
    for holder in database[OVERRIDES].find({"pending.0": {"$exists": True}}, {"pending": 1}):
        pending = holder["pending"]
        if isinstance(pending, list):
            _copy(database, pending)
            copied = {"_id": {"$in": [entry["_id"] for entry in pending]}}
            database[OVERRIDES].update_one({"_id": holder["_id"]}, {"$pull": {"pending": copied}})


def _copy(database: Database, entries: Sequence[Stored]) -> None:
    try:
        database[AUDIT].insert_many(entries, ordered=False)
    except BulkWriteError as error:
        codes = {one["code"] for one in error.details["writeErrors"]}
        if codes != {_DUPLICATE} or error.details["writeConcernErrors"]:
            raise


def _audit(database: Database, provider: str | None, before: int | None, limit: int) -> AuditPage:
    _settle(database)
    query: Stored = {} if before is None else {"_id": {"$lt": before}}
    if provider is not None:
        query["provider"] = provider
    found = list(database[AUDIT].find(query).sort("_id", -1).limit(limit))
    following = str(found[-1]["_id"]) if len(found) == limit else None
    return AuditPage([_entry(one) for one in found], following)


def _stored(entry: AuditEntry, number: int) -> Stored:
    # As texts: a document of ours may hold names and numbers that MongoDB does not take.
    return {
        "_id": number,
        "at": entry.at,
        "who": entry.who,
        "action": entry.action,
        "provider": entry.provider,
        "before": json.dumps(entry.before),
        "after": json.dumps(entry.after),
    }


def _entry(stored: Stored) -> AuditEntry:
    provider = stored["provider"]
    return AuditEntry(
        _whole(stored["at"]),
        str(stored["who"]),
        str(stored["action"]),
        None if provider is None else str(provider),
        json.loads(str(stored["before"])),
        json.loads(str(stored["after"])),
    )


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise JournalUnavailable("MongoDB holds a live setting that is none of ours")
    return int(value)
