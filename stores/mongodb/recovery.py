"""What the journal in MongoDB tells a replica that takes up what another one left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from carillon.messages.model import Channel, Cursor, Outcome, Reason, Receipt, delivery_id
from carillon.messages.ports.records import PastAttempt, Pending, Result, Unfinished
from carillon.stores.mongodb.client import Database, Stored
from carillon.stores.mongodb.journal.dispatches import complete_redrive
from carillon.stores.mongodb.journal.journal import MongoJournal
from carillon.stores.mongodb.journal.writes import NOBODY, apply_endings, attempts_of, find_endings
from carillon.stores.mongodb.reading import MongoReader, channels_of, counts_of
from carillon.stores.mongodb.schema import (
    DELIVERIES,
    DISPATCHES,
    WITHOUT_REQUEST,
    ending_id,
    key_of,
    parts,
    rows_after,
    text_or_none,
    unpacked,
    whole,
)


@dataclass(frozen=True, slots=True)
class Part:
    """One channel of a dispatch, and how often it was redriven."""

    dispatch_id: str
    channel: Channel
    round: int


def take_back(database: Database, ids: Sequence[str], holders: Sequence[str]) -> set[str]:
    """Make deliveries their owner's that none of the `holders` has; those that are now."""
    for some in parts(ids):
        database[DELIVERIES].update_many(
            {"_id": {"$in": some}, "holder": {"$nin": holders}}, {"$unset": {"holder": ""}}
        )
    return {
        str(one["_id"])
        for some in parts(ids)
        for one in database[DELIVERIES].find({"_id": {"$in": some}}, {"holder": 1})
        if "holder" not in one
    }


def pending_of(database: Database, part: Part, rows: Sequence[Stored]) -> list[Pending]:
    """What was tried for these deliveries, in their order."""
    ids = [str(one["_id"]) for one in rows]
    # The writer of these died before it updated the deliveries.
    endings = find_endings(database, [ending_id(row, part.round) for row in ids])
    apply_endings(database, list(endings.values()))
    attempts = attempts_of(database, ids)
    return [
        _one_pending(
            part, row, attempts[row["_id"]], endings.get(ending_id(str(row["_id"]), part.round))
        )
        for row in rows
    ]


def _one_pending(
    part: Part,
    row: Stored,
    attempts: Sequence[Stored],
    ending: Stored | None,
) -> Pending:
    key, user_id = key_of(str(row["_id"])), str(row["userId"])
    ordered = sorted(attempts, key=lambda one: whole(one["number"]))
    past = [
        PastAttempt(
            whole(one["number"]),
            str(one["provider"]),
            cast("Result | None", text_or_none(one.get("result"))),
        )
        for one in ordered
    ]
    counting = [one for one in past if one.number > whole(row.get("triesFrom"))]
    ended = None if ending is None else receipt_of(part, key, user_id, ending)
    return Pending(key, user_id, counting, past[-1].number if past else 0, ended)


def receipt_of(part: Part, key: str, user_id: str, ending: Stored) -> Receipt:
    """How a delivery ended, as it was reported."""
    return Receipt(
        delivery_id=delivery_id(part.dispatch_id, part.channel, key),
        dispatch_id=part.dispatch_id,
        channel=part.channel,
        key=key,
        user_id=user_id,
        outcome=cast("Outcome", str(ending["outcome"])),
        reason=cast("Reason", str(ending["reason"])),
        error=str(ending["error"]),
        provider=text_or_none(ending["provider"]),
        attempts=whole(ending["attempts"]),
        provider_message_id=text_or_none(ending["providerMessageId"]),
    )


MOST_TAKEN: Final = 100
"""Dispatches taken up at once: the other replicas may take theirs meanwhile."""


class MongoRecovery:
    """Implements `messages.ports.records.Recovery` for one replica of several.

    `living` are the replicas whose dispatches are their own; `owner` names this one.
    """

    def __init__(
        self,
        reader: MongoReader,
        journal: MongoJournal,
        owner: Callable[[], str],
        living: Callable[[], frozenset[str]],
    ) -> None:
        self._reader = reader
        self._journal = journal
        self._owner = owner
        self._living = living

    async def unfinished(self, running: Collection[str] = ()) -> Sequence[Unfinished]:
        """See the port."""
        look = _Look(
            self._owner(), self._living(), frozenset(self._journal.strays), frozenset(running)
        )
        found = await self._reader.read(lambda database: _take_over(database, look), newest=False)
        return [self._known(one) for one in found]

    async def request(self, dispatch_id: str) -> str | bytes | None:
        """See the port."""
        query: Stored = {"_id": dispatch_id}
        found = await self._reader.read(
            lambda database: database[DISPATCHES].find_one(query, {"request": 1}), newest=False
        )
        return None if found is None else unpacked(found.get("request"))

    async def find_unfinished(self, dispatch_id: str) -> Unfinished | None:
        """See the port."""
        owner = self._owner()
        found = await self._reader.read(lambda database: _mine(database, dispatch_id, owner))
        return None if found is None else self._known(found)

    async def pending(
        self, dispatch_id: str, channel: Channel, after: str, limit: int
    ) -> Sequence[Pending]:
        """See the port."""
        part = Part(dispatch_id, channel, self._journal.rounds.get(dispatch_id, 0))
        # What this replica took before the dispatch became its own is on its way here, too.
        holders = sorted(self._living())
        return await self._reader.read(
            lambda database: _pending(database, part, (after, limit), holders), newest=False
        )

    async def cancelled(self, assisted: Collection[str] = ()) -> Sequence[str]:
        """Dispatches that are cancelled and have not ended: of this replica, and the `assisted`.

        Raises JournalUnavailable.
        """
        mine: Stored = {"owner": self._owner()}
        query: Stored = {"state": "cancelled", "owner": {"$gt": NOBODY}}
        query["$or"] = [mine, {"_id": {"$in": sorted(assisted)}}]
        return await self._reader.read(
            lambda database: [str(one["_id"]) for one in database[DISPATCHES].find(query, _ID)],
            newest=False,
        )

    def _known(self, found: tuple[Unfinished, int]) -> Unfinished:
        unfinished, round_ = found
        self._journal.rounds[unfinished.id] = round_
        return unfinished


_ID: Final = {"_id": 1}


@dataclass(frozen=True, slots=True)
class _Look:
    """Who looks, who lives, and which dispatches run here, or nowhere though they are ours."""

    owner: str
    living: frozenset[str]
    strays: frozenset[str]
    running: frozenset[str]

    def finds(self, stored: Stored) -> bool:
        """Whether no replica sees a dispatch through."""
        if stored["_id"] in self.running:
            return False
        if stored["owner"] != self.owner:
            return stored["owner"] not in self.living
        # What it took before an answer was lost is its own, too.
        return stored["_id"] in self.strays or "takenFrom" in stored


def _take_over(database: Database, look: _Look) -> list[tuple[Unfinished, int]]:
    """Dispatches that no replica sees through, the oldest first; now they are the owner's."""
    dispatches = database[DISPATCHES]
    # Every replica's; an index gives them, and there are no more than may be open.
    fields = {"owner": 1, "createdAt": 1, "takenFrom": 1}
    left = [one for one in dispatches.find({"owner": {"$gt": ""}}, fields) if look.finds(one)]
    left.sort(key=lambda one: whole(one["createdAt"]))
    found: list[tuple[Unfinished, int]] = []
    for one in left[:MOST_TAKEN]:
        taken: Stored = {"owner": look.owner, "takenFrom": one["owner"]}
        dispatches.update_one({"_id": one["_id"], "owner": one["owner"]}, {"$set": taken})
        mine = _mine(database, str(one["_id"]), look.owner)
        if mine is not None:
            found.append(mine)
    return found


def _mine(database: Database, dispatch_id: str, owner: str) -> tuple[Unfinished, int] | None:
    query: Stored = {"_id": dispatch_id, "owner": owner}
    stored = database[DISPATCHES].find_one(query, WITHOUT_REQUEST)
    if stored is None:
        return None
    complete_redrive(database, stored)
    counts: Mapping[Outcome, int] = {
        outcome: number
        for outcome, number in counts_of(database, dispatch_id).items()
        if outcome != "pending"
    }
    unfinished = Unfinished(
        id=dispatch_id,
        channels=channels_of(stored),
        cancelled=stored["state"] == "cancelled",
        counts=counts,
        progress=_progress(stored.get("progress")),
        caller=str(stored.get("caller", "")),
    )
    return unfinished, whole(stored["round"])


def _progress(stored: object) -> Mapping[Channel, Cursor]:
    if not isinstance(stored, dict):
        return {}
    return {
        channel: Cursor(whole(position), text_or_none(after))
        for channel, (position, after, *_) in stored.items()
    }


def _pending(
    database: Database, part: Part, page: tuple[str, int], holders: Sequence[str]
) -> list[Pending]:
    """A page of what is pending and none of the `holders` has: from now on it is the owner's."""
    after, limit = page
    query: Stored = {
        "dispatch": part.dispatch_id,
        "outcome": "pending",
        "_id": rows_after(part.dispatch_id, part.channel, after),
        "holder": {"$nin": holders},
    }
    rows = list(database[DELIVERIES].find(query).sort("_id", 1).limit(limit))
    held = [str(one["_id"]) for one in rows if "holder" in one]
    lost = set(held) - take_back(database, held, holders)
    return pending_of(database, part, [one for one in rows if one["_id"] not in lost])
