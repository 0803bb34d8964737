"""What was handed to a provider with hooks, in MongoDB: many documents an insert."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar, cast

import trio
from pymongo import IndexModel

from carillon.messages.clock import milliseconds
from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import Channel
from carillon.messages.ports.handovers import Handover
from carillon.stores.mongodb.client import Database, Indexes, MongoStore, Stored
from carillon.stores.mongodb.schema import insert_own, parts, storable

T = TypeVar("T")
HANDOVERS: Final = "handovers"
HANDOVER_INDEXES: Final[Indexes] = {HANDOVERS: [IndexModel([("at", 1)])]}
RETIRED_AT_ONCE: Final = 500
_SECONDS: Final = 5.0


@dataclass(eq=False, slots=True)
class _Batch:
    """Documents that go into one insert."""

    documents: dict[str, Stored] = field(default_factory=dict)
    is_written: bool = False


class MongoHandovers:
    """Implements `messages.ports.handovers.Handovers`."""

    def __init__(self, store: MongoStore, now: Callable[[], int] = milliseconds) -> None:
        self._store = store
        self._now = now
        self._turn = trio.Lock()
        self._next = _Batch()

    async def add(self, handover: Handover) -> None:
        """See the port. Calls that come while others are written share the next insert."""
        batch = self._next
        batch.documents.setdefault(handover.delivery_id, _document(handover, self._now()))
        async with self._turn:
            if batch is self._next:
                self._next = _Batch()
            if not batch.is_written:  # a batch that failed is tried again by each of its callers
                documents = list(batch.documents.values())
                await self._do(lambda database: insert_own(database[HANDOVERS], documents))
                batch.is_written = True

    async def find(self, delivery_id: str) -> Handover | None:
        """See the port."""
        query: Stored = {"_id": storable(delivery_id)}
        found = await self._do(lambda database: database[HANDOVERS].find_one(query))
        return None if found is None else _handover(found)

    async def retire(self, before: int) -> bool:
        """See the port."""
        return await self._do(lambda database: _retire(database, before))

    async def _do(self, job: Callable[[Database], T]) -> T:
        task = "keep what is handed over"
        return await self._store.run(job, _SECONDS, JournalUnavailable, task)


def _retire(database: Database, before: int) -> bool:
    old: Stored = {"at": {"$lt": before}}
    found = database[HANDOVERS].find(old, {"_id": 1}).limit(RETIRED_AT_ONCE)
    ids = [one["_id"] for one in found]
    for part in parts(ids):
        database[HANDOVERS].delete_many({"_id": {"$in": part}})
    return len(ids) == RETIRED_AT_ONCE


def _document(one: Handover, now: int) -> Stored:
    return {
        "_id": one.delivery_id,
        "by": one.dispatch_id,
        "channel": one.channel,
        "provider": one.provider,
        "key": storable(one.key),
        "userId": storable(one.user_id),
        "at": now,
    }


def _handover(stored: Stored) -> Handover:
    return Handover(
        delivery_id=str(stored["_id"]),
        dispatch_id=str(stored["by"]),
        channel=cast("Channel", str(stored["channel"])),
        provider=str(stored["provider"]),
        key=str(stored["key"]),
        user_id=str(stored["userId"]),
    )
