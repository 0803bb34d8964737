"""Idempotency keys in MongoDB: which dispatch each stands for.

A key is taken before its dispatch is inserted, by a write that only one can make. A process that
dies in between leaves a key that stands for nothing: nobody remembers it, and after a while it is
free again. They are documents of their own and no unique index on dispatches, since keys are taken
again, and not every server that speaks the protocol moves entries of unique indexes rightly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from pymongo import IndexModel

from carillon.messages.ports.journal import NewDispatch
from carillon.messages.ports.records import Remembered
from carillon.stores.mongodb import Database, Indexes, Stored
from carillon.stores.mongodb_rows import DISPATCHES, insert_own, parts, storable, whole

KEYS: Final = "idempotencyKeys"
KEY_INDEXES: Final[Indexes] = {KEYS: [IndexModel([("expires", 1), ("at", 1)])]}
OBSOLETE_KEY_INDEXES: Final[Mapping[str, Sequence[str]]] = {KEYS: ["expires_1"]}
"""An earlier version let the server erase keys, by its own clock: nobody could doubt that."""
RETIRED_AT_ONCE: Final = 500

_BEING_OPENED: Final = 15_000
"""Milliseconds in which the dispatch of a key may still come: longer than a write may take."""


def key_name(caller: str, route: str, key: str) -> str:
    """A key and who uses it where, as one text."""
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
