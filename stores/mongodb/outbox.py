"""The events of sagas in MongoDB, posted by whichever replica takes them first.

A replica takes an event before it posts it, and holds it as long as it lives, whatever clocks say.
Only the earliest pending event of a saga can be taken, so the order holds whichever replica posts.
A number from one counter is that order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final, TypeVar, cast
from uuid import uuid4

from pymongo import IndexModel, ReturnDocument, UpdateOne

from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import Document
from carillon.messages.ports.outbox import (
    LONGEST_REST,
    Due,
    DueEvent,
    EventPage,
    EventRecord,
    EventState,
    SagaEvent,
)
from carillon.stores.cursors import ids_after, number_in
from carillon.stores.mongodb.client import ABOUT, Database, Indexes, MongoStore, Stored
from carillon.stores.mongodb.schema import insert_own, parts, storable, text_or_none, whole

T = TypeVar("T")
EVENTS: Final = "events"
OUTBOX_INDEXES: Final[Indexes] = {
    EVENTS: [
        IndexModel([("state", 1), ("dueAt", 1)]),
        IndexModel([("state", 1), ("saga", 1), ("number", 1)]),
        IndexModel([("number", -1)]),
    ]
}
RETIRED_AT_ONCE: Final = 500
LOOK_AGAIN: Final = 2_000
"""Milliseconds after which events that other replicas took are looked at again: one may die."""
_SECONDS: Final = 10.0


class MongoOutbox:
    """Implements `messages.ports.outbox.Outbox` for one replica of several.

    `owner` names this one, `living` are those whose events are their own.
    """

    def __init__(
        self,
        store: MongoStore,
        owner: Callable[[], str],
        living: Callable[[], frozenset[str]],
    ) -> None:
        self._store = store
        self._owner = owner
        self._living = living

    async def add(self, event: SagaEvent, now: int) -> bool:
        """See the port."""
        document: Stored = {
            "_id": event.id,
            "by": uuid4().hex,
            "saga": storable(event.key),
            "label": storable(event.label),
            "payload": json.dumps(event.payload),
            "dispatch": event.dispatch_id,
            "state": "pending",
            "attempts": 0,
            "createdAt": now,
            "since": now,
            "dueAt": now,
        }
        if event.refusal is not None:
            document["refusal"] = storable(event.refusal)
        return await self._do(lambda database: _add(database, document), "written")

    async def due(self, now: int, limit: int) -> Due:
        """See the port. What is given is this replica's from now on."""
        owner, living = self._owner(), self._living()
        return await self._do(lambda database: _due(database, now, limit, owner, living), "read")

    async def accepted(self, event_id: str, now: int) -> None:
        """See the port."""
        await self._tried(event_id, {"state": "accepted", "endedAt": now}, ["error", "dueAt"])

    async def postponed(self, event_id: str, until: int, error: str) -> None:
        """See the port."""
        await self._tried(
            event_id, {"dueAt": until, "error": storable(error)}, earliest={"since": until}
        )

    async def parked(self, event_id: str, now: int, error: str) -> None:
        """See the port."""
        ended: Stored = {"state": "parked", "endedAt": now, "error": storable(error)}
        await self._tried(event_id, ended, ["dueAt"])

    async def find(self, event_id: str) -> EventRecord | None:
        """See the port."""
        query: Stored = {"_id": event_id}
        found = await self._do(lambda database: database[EVENTS].find_one(query), "read")
        return None if found is None else _record(found)

    async def events(
        self, state: EventState | None, cursor: str, limit: int, prefix: str = ""
    ) -> EventPage:
        """See the port."""
        query: Stored = {} if state is None else {"state": state}
        if prefix:
            query["_id"] = {"$gte": storable(prefix), "$lt": ids_after(storable(prefix))}
        before = number_in(cursor)
        if before is not None:
            query["number"] = {"$lt": before}
        found = await self._do(
            lambda database: list(database[EVENTS].find(query).sort("number", -1).limit(limit)),
            "read",
        )
        following = str(whole(found[-1]["number"])) if len(found) == limit else None
        return EventPage([_record(one) for one in found], following)

    async def again(self, event_id: str, now: int) -> bool:
        """See the port."""
        pending: Stored = {"state": "pending", "attempts": 0, "since": now, "dueAt": now}
        # One that a living replica is just posting stays that one's.
        changes = [
            UpdateOne({"_id": event_id, "state": "pending"}, {"$set": pending}),
            UpdateOne(
                {"_id": event_id, "state": {"$ne": "pending"}},
                {"$set": pending, "$unset": {"endedAt": "", "holder": ""}},
            ),
        ]
        done = await self._do(
            lambda database: database[EVENTS].bulk_write(changes).matched_count, "written"
        )
        return done > 0

    async def retire(self, before: int) -> bool:
        """See the port."""
        return await self._do(lambda database: _retire(database, before), "written")

    async def _tried(
        self,
        event_id: str,
        change: Stored,
        gone: Sequence[str] = (),
        earliest: Stored | None = None,
    ) -> None:
        """Write what became of an attempt, unless the event is another's or has ended."""
        mine: Stored = {
            "_id": event_id,
            "state": "pending",
            "holder": {"$in": [self._owner(), None]},
        }
        update: Stored = {
            "$set": change,
            "$inc": {"attempts": 1},
            "$unset": dict.fromkeys([*gone, "holder"], ""),
        }
        if earliest is not None:
            update["$min"] = earliest
        await self._do(lambda database: database[EVENTS].update_one(mine, update), "written")

    async def _do(self, job: Callable[[Database], T], what: str) -> T:
        task = f"let the outbox be {what}"
        return await self._store.run(job, _SECONDS, JournalUnavailable, task)


def _add(database: Database, document: Stored) -> bool:
    counter: Stored = {"_id": "events"}
    drawn = database[ABOUT].find_one_and_update(
        counter, {"$inc": {"last": 1}}, upsert=True, return_document=ReturnDocument.AFTER
    )
    numbered = {**document, "number": whole((drawn or {}).get("last"))}
    return bool(insert_own(database[EVENTS], [numbered]))


def _due(database: Database, now: int, limit: int, owner: str, living: frozenset[str]) -> Due:
    events = database[EVENTS]
    found: list[DueEvent] = []
    is_others = False
    farthest = now + LONGEST_REST
    by_now = events.find({"state": "pending", "dueAt": {"$lte": now}}).sort("dueAt", 1)
    wrongly_dated = events.find({"state": "pending", "dueAt": {"$gt": farthest}}).sort("dueAt", 1)
    waiting = chain(by_now, wrongly_dated)
    # To the end if need be: events that wait for an earlier one of their saga hide no other saga.
    for part in parts(waiting):
        first = _earliest(database, [str(one["saga"]) for one in part])
        for one in part:
            holder = one.get("holder")
            if whole(one["number"]) != first.get(str(one["saga"])) or len(found) == limit:
                continue
            if holder is not None and holder != owner and holder in living:
                is_others = True
            elif _take(database, one, owner):
                found.append(_due_event(one))
        if len(found) == limit:
            break
    soon: Stored = {"state": "pending", "dueAt": {"$gt": now, "$lte": farthest}}
    later = events.find(soon, {"dueAt": 1})
    following = [whole(one["dueAt"]) for one in later.sort("dueAt", 1).limit(1)]
    if is_others:
        following.append(now + LOOK_AGAIN)
    return Due(found, min(following, default=now + LOOK_AGAIN))


def _earliest(database: Database, sagas: Sequence[str]) -> dict[str, int]:
    """The number of each saga's earliest pending event."""
    first: dict[str, int] = {}
    for part in parts(sorted(set(sagas))):
        query: Stored = {"state": "pending", "saga": {"$in": part}}
        for one in database[EVENTS].find(query, {"saga": 1, "number": 1}):
            saga, number = str(one["saga"]), whole(one["number"])
            first[saga] = min(number, first.get(saga, number))
    return first


def _take(database: Database, event: Stored, owner: str) -> bool:
    """Whether the event is the owner's now."""
    holder = event.get("holder")
    if holder == owner:
        return True
    free: Stored = {
        "_id": event["_id"],
        "state": "pending",
        "holder": {"$exists": False} if holder is None else holder,
    }
    if database[EVENTS].update_one(free, {"$set": {"holder": owner}}).matched_count:
        return True
    # The first of two tries may have been applied, and its answer lost.
    mine: Stored = {"_id": event["_id"], "holder": owner}
    return database[EVENTS].find_one(mine, {"_id": 1}) is not None


def _retire(database: Database, before: int) -> bool:
    query: Stored = {"state": "accepted", "endedAt": {"$lt": before}}
    found = database[EVENTS].find(query, {"_id": 1}).limit(RETIRED_AT_ONCE)
    ids = [one["_id"] for one in found]
    # Again with the filter: one may have been driven again since.
    for part in parts(ids):
        database[EVENTS].delete_many({**query, "_id": {"$in": part}})
    return len(ids) == RETIRED_AT_ONCE


def _due_event(stored: Stored) -> DueEvent:
    event = SagaEvent(
        str(stored["_id"]),
        str(stored["saga"]),
        str(stored["label"]),
        cast("Document", json.loads(str(stored["payload"]))),
        text_or_none(stored["dispatch"]),
    )
    return DueEvent(event, whole(stored["attempts"]), whole(stored["since"]))


def _record(stored: Stored) -> EventRecord:
    due, ended = stored.get("dueAt"), stored.get("endedAt")
    return EventRecord(
        id=str(stored["_id"]),
        key=str(stored["saga"]),
        label=str(stored["label"]),
        dispatch_id=text_or_none(stored["dispatch"]),
        state=cast("EventState", str(stored["state"])),
        attempts=whole(stored["attempts"]),
        error=text_or_none(stored.get("error")),
        created_at=whole(stored["createdAt"]),
        due_at=None if due is None else whole(due),
        ended_at=None if ended is None else whole(ended),
        refusal=text_or_none(stored.get("refusal")),
    )
