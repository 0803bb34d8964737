"""The journal's dispatches in MongoDB: how one begins, ends, begins again and is forgotten.

An unfinished dispatch has an `owner`: the replica that sees it through. Whatever changes it names
its owner in the filter, so a replica that was taken for dead changes nothing any more.

A dispatch that is to be driven again says so first (`redrive`): should the process die before all
of its deliveries are pending again, whoever takes the dispatch up completes that.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Final

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from carillon.messages.model import OUTCOMES, Outcome
from carillon.messages.ports.journal import DispatchEnd, NewDispatch, Progress
from carillon.messages.ports.records import RecordFilter
from carillon.stores.mongodb import Database, Stored
from carillon.stores.mongodb_keys import give_keys_back
from carillon.stores.mongodb_rows import (
    ATTEMPTS,
    DELIVERIES,
    DISPATCHES,
    ENDINGS,
    all_rows,
    packed,
    parts,
    storable,
    whole,
)

UNFINISHED: Final = ("cancelled", "crashed")
"""What a dispatch stays that is driven again."""
MOST_RETIRED: Final = 500
"""Deliveries erased at once."""


def new_dispatch(dispatch: NewDispatch, owner: str, now: int) -> Stored:
    """The document of a dispatch that begins."""
    return {
        "_id": dispatch.id,
        "by": owner,
        "owner": owner,
        "state": "running",
        "channels": list(dispatch.channels),
        "request": packed(dispatch.request),
        "createdAt": now,
        "round": 0,
        "caller": dispatch.caller,
        "total": dispatch.total,
        "isRead": dispatch.is_read,
    }


def void(database: Database, dispatch_id: str, owner: str, now: int) -> None:
    """See that a dispatch that was refused is not there, and does not come late either.

    One that another replica took over meanwhile goes on there.
    """
    dispatches = database[DISPATCHES]
    gone: Stored = {"$set": {"endedAt": now, "by": ""}, "$unset": dict.fromkeys(_ALL_BUT_ID, "")}
    dispatches.update_one({"_id": dispatch_id, "owner": owner}, gone)
    with suppress(DuplicateKeyError):
        dispatches.insert_one({"_id": dispatch_id, "endedAt": now, "by": ""})
    if dispatches.find_one({"_id": dispatch_id, "state": {"$exists": True}}, {"_id": 1}):
        return
    give_keys_back(database, dispatch_id)
    database[DELIVERIES].delete_many({"_id": all_rows(dispatch_id)})


_ALL_BUT_ID: Final = (
    "owner",
    "state",
    "channels",
    "request",
    "createdAt",
    "round",
    "caller",
    "total",
    "isRead",
)


def advance(database: Database, owner: str, reached: Sequence[tuple[str, Progress]]) -> set[str]:
    """Write where reading the audiences goes on; the dispatches that are not the owner's."""
    changes = [
        UpdateOne(
            {"_id": dispatch_id, "owner": owner},
            {"$set": {f"progress.{one.channel}": _reached(one)}},
        )
        for dispatch_id, one in reached
    ]
    if not changes:
        return set()
    done = database[DISPATCHES].bulk_write(changes, ordered=False)
    if done.matched_count == len(changes):
        return set()
    asked = {dispatch_id for dispatch_id, _ in reached}
    found = database[DISPATCHES].find({"_id": {"$in": sorted(asked)}, "owner": owner}, {"_id": 1})
    return asked - {str(one["_id"]) for one in found}


def _reached(one: Progress) -> list[object]:
    return [one.cursor.position, one.cursor.after, one.is_read]


def close_dispatch(
    database: Database,
    dispatch_id: str,
    owner: str,
    counts: Mapping[Outcome, int],
    kept: str | bytes | None,
    end: DispatchEnd,
    now: int,
) -> None:
    """Write the end of a dispatch, and erase what only going on needs."""
    ended: Stored = {"endedAt": now, "counts": dict(counts)}
    if end.crash is not None:
        ended["reason"] = end.crash
    gone: Stored = {"owner": "", "progress": "", "takenFrom": "", "endsAs": ""}
    if kept is None:
        gone["request"] = ""
    else:
        ended["request"] = packed(kept)
    mine: Stored = {"_id": dispatch_id, "owner": owner}
    again: Stored = {**mine, "endsAs": {"$exists": True}}  # what was not read then is not read now
    read: Stored = {"isRead": True} if end.is_read else {}
    ends_as = "done" if end.crash is None else "crashed"
    changes = [
        UpdateOne({**again, "state": "cancelled"}, {"$set": ended, "$unset": gone}),
        *(
            UpdateOne({**mine, "endsAs": one}, {"$set": {**ended, "state": one}, "$unset": gone})
            for one in UNFINISHED
        ),
        UpdateOne({**mine, "state": "cancelled"}, {"$set": {**ended, **read}, "$unset": gone}),
        UpdateOne(mine, {"$set": {**ended, **read, "state": ends_as}, "$unset": gone}),
    ]
    database[DISPATCHES].bulk_write(changes)


def cancel_dispatch(database: Database, dispatch_id: str) -> None:
    """Write that nothing more of a dispatch may start, unless it has ended. Anybody may."""
    unfinished: Stored = {"_id": dispatch_id, "owner": {"$exists": True}}
    database[DISPATCHES].update_one(unfinished, {"$set": {"state": "cancelled"}})


def redrive(database: Database, dispatch_id: str, wanted: RecordFilter, owner: str) -> int:
    """Make ended deliveries pending again and their dispatch the owner's; how many there are."""
    # Whoever repeats this after a lost reply finds the dispatch running, and its own.
    if _of_interest(database, dispatch_id, wanted):
        ended: Stored = {
            "_id": dispatch_id,
            "owner": {"$exists": False},
            "state": {"$exists": True},
        }
        running: Stored = {
            "state": "running",
            "owner": owner,
            "redrive": json.dumps(asdict(wanted)),
        }
        rest: Stored = {"$unset": {"endedAt": ""}, "$inc": {"round": 1}}
        changes = [
            UpdateOne({**ended, "state": one}, {"$set": {**running, "endsAs": one}, **rest})
            for one in UNFINISHED
        ]
        database[DISPATCHES].bulk_write([*changes, UpdateOne(ended, {"$set": running, **rest})])
    mine: Stored = {"_id": dispatch_id, "owner": owner}
    found = database[DISPATCHES].find_one(mine, {"redrive": 1})
    if found is None:
        return 0
    complete_redrive(database, found)
    return int(
        database[DELIVERIES].count_documents({"dispatch": dispatch_id, "outcome": "pending"})
    )


def complete_redrive(database: Database, dispatch: Stored) -> None:
    """Make those deliveries of a dispatch pending that its `redrive` names, if it has one."""
    asked = dispatch.get("redrive")
    if not isinstance(asked, str):
        return
    wanted = RecordFilter(**json.loads(asked))
    dispatch_id = str(dispatch["_id"])
    while _again(database, dispatch_id, wanted):
        pass
    database[DISPATCHES].update_one({"_id": dispatch_id}, {"$unset": {"redrive": ""}})


def _of_interest(database: Database, dispatch_id: str, wanted: RecordFilter) -> bool:
    return database[DELIVERIES].find_one(_ended(dispatch_id, wanted), {"_id": 1}) is not None


def _again(database: Database, dispatch_id: str, wanted: RecordFilter) -> bool:
    """Make a part of them pending; whether there may be more."""
    rows = database[DELIVERIES]
    found = rows.find(_ended(dispatch_id, wanted), {"_id": 1}).limit(MOST_RETIRED)
    ids = [one["_id"] for one in found]
    for last, alike in _by_last_attempt(database, ids).items():
        pending: Stored = {"outcome": "pending", "triesFrom": last}
        gone = dict.fromkeys(("reason", "provider", "attempts", "endedAt", "ending"), "")
        for part in parts(alike):
            rows.update_many({"_id": {"$in": part}}, {"$set": pending, "$unset": gone})
    return bool(ids)


def _by_last_attempt(database: Database, ids: Sequence[object]) -> Mapping[int, Sequence[object]]:
    """The rows by the number of the last attempt that was made for them."""
    last: dict[object, int] = dict.fromkeys(ids, 0)
    for part in parts(ids):
        for one in database[ATTEMPTS].find(
            {"delivery": {"$in": part}}, {"delivery": 1, "number": 1}
        ):
            row = one["delivery"]
            last[row] = max(last[row], whole(one["number"]))
    found: dict[int, list[object]] = defaultdict(list)
    for row, number in last.items():
        found[number].append(row)
    return found


def _ended(dispatch_id: str, wanted: RecordFilter) -> Stored:
    outcomes = [one for one in wanted.outcomes or OUTCOMES if one not in {"pending", "sent"}]
    of_it: Stored = {"_id": all_rows(dispatch_id), "dispatch": dispatch_id}
    return {**conditions(wanted), **of_it, "outcome": {"$in": outcomes}}


def conditions(wanted: RecordFilter) -> Stored:
    """A filter of deliveries as MongoDB's."""
    query: Stored = {}
    for name, several in (("outcome", wanted.outcomes), ("reason", wanted.reasons)):
        if several:
            query[name] = {"$in": list(several)}
    for name, value in (
        ("channel", wanted.channel),
        ("userId", wanted.user_id),
        ("provider", wanted.provider),
    ):
        if value is not None:
            query[name] = storable(value)
    return query


def retire(database: Database, before: int) -> bool:
    """Erase a part of what ended before a time; whether some of it may be left."""
    dispatches = database[DISPATCHES]
    ended: Stored = {"endedAt": {"$lt": before}}
    oldest = dispatches.find_one(ended, {"_id": 1}, sort=[("endedAt", 1)])
    if oldest is None:
        return False
    dispatch_id = str(oldest["_id"])
    # Without a state nobody can drive it again.
    dispatches.update_one({**ended, "_id": dispatch_id}, {"$unset": {"state": ""}})
    for collection in (ATTEMPTS, ENDINGS, DELIVERIES):
        of_it: Stored = {"_id": all_rows(dispatch_id)}
        found = database[collection].find(of_it, {"_id": 1}).limit(MOST_RETIRED)
        if ids := [one["_id"] for one in found]:
            for part in parts(ids):
                database[collection].delete_many({"_id": {"$in": part}})
            return True
    dispatches.delete_one({**ended, "_id": dispatch_id})
    return True
