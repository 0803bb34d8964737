"""What the journal in MongoDB writes at once: one insert or update for all of a kind.

Each of these may be done twice, as `MongoStore.run` does when an answer is lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from carillon.messages.model import Receipt
from carillon.messages.ports.journal import (
    AttemptEnd,
    AttemptStart,
    Enrolment,
    NewDispatch,
    Progress,
)
from carillon.stores.mongodb.client import Database, Stored
from carillon.stores.mongodb.journal.dispatches import advance, new_dispatch, take_keys
from carillon.stores.mongodb.schema import (
    ATTEMPTS,
    DELIVERIES,
    DISPATCHES,
    ENDINGS,
    attempt_id,
    ending_id,
    insert_own,
    parts,
    row_id,
    storable,
    text_or_none,
)

NOBODY: Final = ""
"""Holds a delivery that any replica may take; one without a holder is that of its owner."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Deliveries that are about to exist; `by` names this write, and no other.

    Any replica may take those that are `offered`.
    """

    dispatch_id: str
    rows: Sequence[Enrolment]
    by: str
    offered: bool = False

    @property
    def ids(self) -> Sequence[str]:
        """The `_id` of each, in order."""
        return [row_id(self.dispatch_id, one.channel, one.key) for one in self.rows]


@dataclass(frozen=True, slots=True)
class UrgentWrites:
    """Writes that a task waits for before something starts; `owner` is the replica that writes."""

    owner: str
    now: int
    openings: Sequence[NewDispatch]
    rows: Sequence[Rows]
    reached: Sequence[tuple[str, Progress]]
    endings: Sequence[Stored]
    ends: Sequence[AttemptEnd]
    starts: Sequence[AttemptStart]


@dataclass(slots=True)
class Written:
    """What came of it, in `_id`s.

    Deliveries that are new by the name of their write; dispatches and attempts that are there;
    endings that are ours; dispatches that are another replica's.
    """

    new: dict[str, set[object]] = field(default_factory=dict)
    opened: set[object] = field(default_factory=set)
    started: set[object] = field(default_factory=set)
    ended: set[object] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)


def write_urgent(database: Database, urgent: UrgentWrites) -> Written:
    """Write deliveries before their dispatches, which make them count, and calls before bytes.

    And before anything begins, how what went before it has ended.
    """
    written = Written()
    written.ended = insert_endings(database, urgent.endings)
    _end_attempts(database, urgent)
    if urgent.rows:
        written.new = _enrol(database, urgent.rows, urgent.now)
    if urgent.openings:
        refused = take_keys(database, urgent.openings, urgent.now)
        openings = [one for one in urgent.openings if one.id not in refused]
        documents = [new_dispatch(one, urgent.owner, urgent.now) for one in openings]
        written.opened = insert_own(database[DISPATCHES], documents)
    written.lost = advance(database, urgent.owner, urgent.reached)
    if urgent.starts:
        written.started = _start(database, urgent)
    return written


def _enrol(database: Database, several: Sequence[Rows], now: int) -> dict[str, set[object]]:
    documents: dict[str, Stored] = {}
    for rows in several:
        for row, one in zip(rows.ids, rows.rows, strict=True):
            document: Stored = {
                "_id": row,
                "by": rows.by,
                "dispatch": rows.dispatch_id,
                "channel": one.channel,
                "userId": storable(one.user_id),
                "outcome": "pending",
                "createdAt": now,
            }
            if rows.offered:
                document["holder"] = NOBODY
            documents.setdefault(row, document)
    new: dict[str, set[object]] = defaultdict(set)
    for found in insert_own(database[DELIVERIES], list(documents.values())):
        new[str(documents[str(found)]["by"])].add(found)
    return new


def _start(database: Database, urgent: UrgentWrites) -> set[object]:
    documents: list[Stored] = []
    for one in urgent.starts:
        row = row_id(one.dispatch_id, one.channel, one.key)
        documents.append(
            {
                "_id": attempt_id(row, one.number),
                "by": urgent.owner,
                "delivery": row,
                "number": one.number,
                "provider": one.provider,
                "startedAt": urgent.now,
            }
        )
    return insert_own(database[ATTEMPTS], documents)


def _end_attempts(database: Database, urgent: UrgentWrites) -> None:
    """Write how the owner's own attempts ended; the first result of each counts."""
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in urgent.ends:
        row = row_id(one.dispatch_id, one.channel, one.key)
        alike[one.result, one.error].append(attempt_id(row, one.number))
    for (result, error), ids in alike.items():
        for part in parts(ids):
            # Another replica may have made the attempt of this number: its call may be open.
            mine: Stored = {"_id": {"$in": part}, "by": urgent.owner, "result": {"$exists": False}}
            ended: Stored = {"result": result, "endedAt": urgent.now}
            if error:
                ended["error"] = storable(error)
            database[ATTEMPTS].update_many(mine, {"$set": ended})


def insert_endings(database: Database, endings: Sequence[Stored]) -> set[object]:
    """Write how deliveries ended; returns the `_id`s of those that were not recorded before."""
    return insert_own(database[ENDINGS], endings)


def ending_document(receipt: Receipt, place: str, owner: str, now: int) -> Stored:
    """How a delivery ended, as it is stored."""
    row = row_id(receipt.dispatch_id, receipt.channel, receipt.key)
    return {
        "_id": ending_id(row, place),
        "by": owner,
        "delivery": row,
        "ending": place,
        "outcome": receipt.outcome,
        "reason": receipt.reason,
        "error": storable(receipt.error),
        "provider": receipt.provider,
        "providerMessageId": _storable_or_none(receipt.provider_message_id),
        "attempts": receipt.attempts,
        "endedAt": now,
    }


def _storable_or_none(text: str | None) -> str | None:
    return None if text is None else storable(text)


def apply_endings(database: Database, endings: Sequence[Stored]) -> None:
    """Give deliveries their outcomes, those that ended alike at once. A row not there stays out."""
    alike: dict[tuple[object, ...], list[object]] = defaultdict(list)
    for one in endings:
        values = tuple(one[name] for name in _ALIKE)
        alike[values].append(one["delivery"])
    for values, ids in alike.items():
        update: Stored = {
            "$set": dict(zip(_ALIKE, values, strict=True)),
            "$unset": {"holder": ""},
        }
        for part in parts(ids):
            database[DELIVERIES].update_many({"_id": {"$in": part}}, update)


_ALIKE = ("outcome", "reason", "provider", "attempts", "endedAt", "ending")


def find_endings(database: Database, ids: Sequence[str]) -> dict[str, Stored]:
    """Endings by their `_id`, of those that are there."""
    found: dict[str, Stored] = {}
    for part in parts(ids):
        for one in database[ENDINGS].find({"_id": {"$in": part}}):
            found[str(one["_id"])] = one
    return found


def attempts_of(database: Database, rows: Sequence[str]) -> Mapping[object, Sequence[Stored]]:
    """What was tried for these deliveries, by their `_id`, in any order; nothing for others."""
    found: dict[object, list[Stored]] = defaultdict(list)
    for part in parts(rows):
        for one in database[ATTEMPTS].find({"delivery": {"$in": part}}):
            found[one["delivery"]].append(one)
    return found


def owners(database: Database, dispatch_ids: Sequence[str]) -> dict[str, str | None]:
    """Whose each dispatch is; None for one that has ended, nothing for one that is not there."""
    found: dict[str, str | None] = {}
    for part in parts(dispatch_ids):
        query: Stored = {"_id": {"$in": part}}
        for one in database[DISPATCHES].find(query, {"owner": 1}):
            found[str(one["_id"])] = text_or_none(one.get("owner"))
    return found
