"""The journal's dispatches in MongoDB: how one begins, ends, begins again and is forgotten.

An unfinished dispatch has an `owner`: the replica that sees it through. Every change names the
owner in its filter, so a replica that was taken for dead changes nothing any more.

A redrive is first marked on the dispatch (`redrive`): if the process dies before all of its
deliveries are pending again, the replica that takes the dispatch up completes that.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from pymongo import IndexModel, UpdateOne
from pymongo.errors import DuplicateKeyError

from carillon.messages.model import OUTCOMES, Outcome
from carillon.messages.ports.journal import DispatchEnd, NewDispatch, Progress
from carillon.messages.ports.records import RecordFilter, Remembered
from carillon.stores.mongodb.client import Database, Indexes, Stored
from carillon.stores.mongodb.schema import (
    ATTEMPTS,
    DELIVERIES,
    DISPATCHES,
    ENDINGS,
    all_rows,
    insert_own,
    packed,
    parts,
    storable,
    whole,
)

KEYS: Final = "idempotencyKeys"
KEY_INDEXES: Final[Indexes] = {KEYS: [IndexModel([("expires", 1), ("at", 1)])]}
OBSOLETE_KEY_INDEXES: Final[Mapping[str, Sequence[str]]] = {KEYS: ["expires_1"]}
"""An earlier version let the server erase keys, by its own clock: nobody could doubt that."""
RETIRED_AT_ONCE: Final = 500

_BEING_OPENED: Final = 15_000
"""Milliseconds in which the dispatch of a key may still come: longer than a write may take."""


def key_name(caller: str, route: str, key: str) -> str:
    """A key with its caller and route, as one text."""
    return storable(json.dumps([caller, route, key]))


def take_keys(database: Database, dispatches: Sequence[NewDispatch], now: int) -> set[str]:
    """Let keys stand for their dispatches; the ids of dispatches whose key is another's."""
    wanted = {str(one["_id"]): one for one in _documents(dispatches, now)}
    if not wanted:
        return set()
    ours = insert_own(database[KEYS], list(wanted.values()))
    refused = [one for name, one in wanted.items() if name not in ours]
    # Two of one batch with the same key: the later one in `wanted` took it.
    taken = {one["dispatch"] for one in wanted.values()}
    lost = {one.id for one in dispatches if one.key is not None} - taken
    return {str(one) for one in lost} | {
        str(one["dispatch"]) for one in refused if not _replaced(database, one, now)
    }


def _documents(dispatches: Sequence[NewDispatch], now: int) -> list[Stored]:
    return [
        {
            "_id": key_name(one.key.caller, one.key.route, one.key.key),
            "by": one.id,
            "dispatch": one.id,
            "fingerprint": one.key.fingerprint,
            "at": now,
            "expires": datetime.fromtimestamp(now / 1000 + one.key.expiry, UTC),
        }
        for one in dispatches
        if one.key is not None
    ]


def _replaced(database: Database, wanted: Stored, now: int) -> bool:
    """Whether a key was expired, or stood for nothing, and is the wanted one's now."""
    found = database[KEYS].find_one({"_id": wanted["_id"]})
    if found is None:  # it was tidied away this moment: a repeat will find it free
        return False
    at, before = whole(found["at"]), found["dispatch"]
    expires, ours = found["expires"], wanted["expires"]
    is_expired = isinstance(expires, datetime) and expires.timestamp() * 1000 <= now
    if isinstance(ours, datetime):  # one that was moved here knows only how old it is
        is_expired = is_expired or now - at >= ours.timestamp() * 1000 - whole(wanted["at"])
    is_free = is_expired or (at < now - _BEING_OPENED and not _is_there(database, before))
    if is_free:
        mine: Stored = {"_id": wanted["_id"], "dispatch": before}
        database[KEYS].replace_one(mine, wanted)
        found = database[KEYS].find_one({"_id": wanted["_id"]}) or {}
    return found.get("dispatch") == wanted["dispatch"]


def _is_there(database: Database, dispatch_id: object) -> bool:
    query: Stored = {"_id": dispatch_id, "state": {"$exists": True}}
    return database[DISPATCHES].find_one(query, {"_id": 1}) is not None


def remembered(database: Database, name: str, since: int) -> Remembered | None:
    """The dispatch that a key stands for, if it is not older."""
    found = database[KEYS].find_one({"_id": name, "at": {"$gte": since}})
    if found is None or not _is_there(database, found["dispatch"]):
        return None
    return Remembered(str(found["dispatch"]), str(found["fingerprint"]))


def give_keys_back(database: Database, dispatch_id: str) -> None:
    """Free the keys of a dispatch that was refused."""
    database[KEYS].delete_many({"dispatch": dispatch_id})


def retire_keys(database: Database, before: int) -> bool:
    """Erase a part of the keys that expired before a time; whether there is more of them."""
    expired: Stored = {"expires": {"$lt": datetime.fromtimestamp(before / 1000, UTC)}}
    ids = [one["_id"] for one in database[KEYS].find(expired, {"_id": 1}).limit(RETIRED_AT_ONCE)]
    for part in parts(ids):
        database[KEYS].delete_many({**expired, "_id": {"$in": part}})
    return len(ids) == RETIRED_AT_ONCE


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
    # A retry after a lost reply finds the dispatch running, and its own.
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
    # Without a state it cannot be redriven.
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
