"""What the journal in MongoDB tells a replica that takes up what another one left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from messages.model import Channel, Cursor, Outcome, Reason, Receipt, delivery_id
from messages.records import PastAttempt, Pending, Result, Unfinished
from stores.mongodb import Database, Stored
from stores.mongodb_batch import apply_endings, find_endings
from stores.mongodb_journal import MongoJournal
from stores.mongodb_records import MongoReader, channels_of, counts_of
from stores.mongodb_rows import (
    ATTEMPTS,
    DELIVERIES,
    DISPATCHES,
    ending_id,
    key_of,
    parts,
    rows_after,
    text_or_none,
    unpacked,
    whole,
)
from stores.mongodb_states import complete_redrive

MOST_TAKEN: Final = 100
"""Dispatches taken up at once: the other replicas may take theirs meanwhile."""


class MongoRecovery:
    """Implements `messages.records.Recovery` for one replica of several.

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

    async def request(self, dispatch_id: str) -> str | None:
        """See the port."""
        query: Stored = {"_id": dispatch_id}
        found = await self._reader.read(
            lambda database: database[DISPATCHES].find_one(query, {"request": 1})
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
        round_ = self._journal.rounds.get(dispatch_id, 0)
        return await self._reader.read(
            lambda database: _pending(database, dispatch_id, channel, after, limit, round_),
            newest=False,
        )

    async def cancelled(self) -> Sequence[str]:
        """Dispatches of this replica that are cancelled and have not ended.

        Raises JournalUnavailable.
        """
        query: Stored = {"owner": self._owner(), "state": "cancelled"}
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
        """Whether nobody sees a dispatch through."""
        if stored["_id"] in self.running:
            return False
        if stored["owner"] != self.owner:
            return stored["owner"] not in self.living
        # What it took before an answer was lost is its own, too.
        return stored["_id"] in self.strays or "takenFrom" in stored


def _take_over(database: Database, look: _Look) -> list[tuple[Unfinished, int]]:
    """What nobody sees through, the oldest first; from now on it is the owner's."""
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
    stored = database[DISPATCHES].find_one({"_id": dispatch_id, "owner": owner})
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
        request=unpacked(stored.get("request")),
        cancelled=stored["state"] == "cancelled",
        counts=counts,
        progress=_progress(stored.get("progress")),
    )
    return unfinished, whole(stored["round"])


def _progress(stored: object) -> Mapping[Channel, Cursor]:
    if not isinstance(stored, dict):
        return {}
    return {
        channel: Cursor(whole(position), text_or_none(after))
        for channel, (position, after) in stored.items()
    }


def _pending(
    database: Database, dispatch_id: str, channel: Channel, after: str, limit: int, round_: int
) -> list[Pending]:
    query: Stored = {
        "dispatch": dispatch_id,
        "outcome": "pending",
        "_id": rows_after(dispatch_id, channel, after),
    }
    rows = list(database[DELIVERIES].find(query).sort("_id", 1).limit(limit))
    ids = [str(one["_id"]) for one in rows]
    # Whoever wrote these died before the deliveries were told.
    endings = find_endings(database, [ending_id(row, round_) for row in ids])
    apply_endings(database, list(endings.values()))
    attempts = _attempts(database, ids)
    return [
        _one_pending(dispatch_id, channel, row, attempts[row["_id"]], endings.get(ending))
        for row, ending in ((row, ending_id(str(row["_id"]), round_)) for row in rows)
    ]


def _attempts(database: Database, rows: Sequence[str]) -> Mapping[object, Sequence[Stored]]:
    found: dict[object, list[Stored]] = defaultdict(list)
    for part in parts(rows):
        for one in database[ATTEMPTS].find({"delivery": {"$in": part}}):
            found[one["delivery"]].append(one)
    return found


def _one_pending(
    dispatch_id: str,
    channel: Channel,
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
    ended = None if ending is None else _receipt(dispatch_id, channel, key, user_id, ending)
    return Pending(key, user_id, counting, past[-1].number if past else 0, ended)


def _receipt(dispatch_id: str, channel: Channel, key: str, user_id: str, ending: Stored) -> Receipt:
    return Receipt(
        delivery_id=delivery_id(dispatch_id, channel, key),
        dispatch_id=dispatch_id,
        channel=channel,
        key=key,
        user_id=user_id,
        outcome=cast("Outcome", str(ending["outcome"])),
        reason=cast("Reason", str(ending["reason"])),
        error=str(ending["error"]),
        provider=text_or_none(ending["provider"]),
        attempts=whole(ending["attempts"]),
        provider_message_id=text_or_none(ending["providerMessageId"]),
    )
