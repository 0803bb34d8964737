"""Deliveries in MongoDB that the owner of their dispatch offers to the other replicas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from carillon.messages.model import Channel
from carillon.messages.ports.journal import Enrolment, Progress
from carillon.messages.ports.records import Unfinished
from carillon.messages.ports.work_sharing import Settled, Taken, Weigh
from carillon.stores.mongodb.client import Database, Stored
from carillon.stores.mongodb.journal.journal import MongoJournal
from carillon.stores.mongodb.journal.writes import NOBODY, find_endings
from carillon.stores.mongodb.offers import PLACE, find_offers
from carillon.stores.mongodb.reading import MongoReader, channels_of
from carillon.stores.mongodb.recovery import Part, pending_of, receipt_of, take_back
from carillon.stores.mongodb.replicas import MongoReplicas
from carillon.stores.mongodb.schema import (
    DELIVERIES,
    DISPATCHES,
    WITHOUT_REQUEST,
    ending_id,
    key_of,
    parts,
    row_id,
    rows_after,
    whole,
)


class MongoPool:
    """Implements `messages.ports.work_sharing.SharedQueue`."""

    def __init__(self, reader: MongoReader, journal: MongoJournal, replicas: MongoReplicas) -> None:
        self._reader = reader
        self._journal = journal
        self._replicas = replicas
        self._held: frozenset[str] = frozenset()

    @property
    def has_company(self) -> bool:
        """See the port."""
        return bool(self._replicas.others)

    @property
    def replicas(self) -> int:
        """See the port."""
        return len(self._replicas.living)

    async def offer(
        self, dispatch_id: str, rows: Sequence[Enrolment], progress: Progress
    ) -> Sequence[bool]:
        """See the port."""
        return await self._journal.offer(dispatch_id, rows, progress)

    async def elsewhere(self, dispatch_id: str, channel: Channel) -> Sequence[str]:
        """See the port."""
        query: Stored = {
            "dispatch": dispatch_id,
            "outcome": "pending",
            "_id": rows_after(dispatch_id, channel, ""),
            "holder": {"$in": sorted(self._replicas.living)},
        }
        return await self._reader.read(
            lambda database: [
                key_of(str(one["_id"])) for one in database[DELIVERIES].find(query, {"_id": 1})
            ],
            newest=False,
        )

    async def settle(
        self, dispatch_id: str, channel: Channel, keys: Sequence[str], room: int
    ) -> Settled:
        """See the port."""
        part = Part(dispatch_id, channel, self._journal.rounds.get(dispatch_id, 0))
        holders = sorted(self._replicas.living)
        return await self._reader.read(
            lambda database: _settle(database, part, keys, room, holders), newest=False
        )

    async def take(self, room: Mapping[Channel, int], weigh: Weigh) -> Sequence[Taken]:
        """See the port."""
        owner, others = self._replicas.id, self._replicas.others
        if not others:
            return []
        known = self._held
        held, found = await self._reader.read(
            lambda database: _take(database, (room, weigh), (owner, others), known), newest=False
        )
        self._held = held
        for taken, round_ in found:
            if round_:  # else it need not be known
                self._journal.rounds[taken.dispatch.id] = round_
        return [taken for taken, _ in found]


def _settle(
    database: Database, part: Part, keys: Sequence[str], room: int, holders: Sequence[str]
) -> Settled:
    rows: list[Stored] = []
    for some in parts(row_id(part.dispatch_id, part.channel, key) for key in keys):
        rows += database[DELIVERIES].find({"_id": {"$in": some}})
    ended = [one for one in rows if one["outcome"] != "pending"]
    pending = [one for one in rows if one["outcome"] == "pending"]
    free = [one for one in pending if one.get("holder") == NOBODY]
    # Whose holder has died, or what was taken back when an answer of this job was lost.
    left = [one for one in pending if one.get("holder") not in {NOBODY, *holders}]
    wanted = [*left, *free[: max(0, room - len(left))]]
    ours = take_back(database, [str(one["_id"]) for one in wanted], holders)
    taken = sorted((one for one in wanted if one["_id"] in ours), key=lambda one: str(one["_id"]))
    names = [ending_id(str(one["_id"]), str(one["ending"])) for one in ended]
    endings = find_endings(database, names)
    receipts = [
        receipt_of(part, key_of(str(one["_id"])), str(one["userId"]), endings[name])
        for one, name in zip(ended, names, strict=True)
        if name in endings
    ]
    return Settled(receipts, pending_of(database, part, taken), len(free) - len(wanted) + len(left))


def _take(
    database: Database,
    wanted: tuple[Mapping[Channel, int], Weigh],
    replicas: tuple[str, frozenset[str]],
    known: frozenset[str],
) -> tuple[frozenset[str], list[tuple[Taken, int]]]:
    """What is held here afterwards, and what of it was not `known` to be."""
    owner, others = replicas
    mine = {"holder": owner, "outcome": "pending"}
    rows = list(database[DELIVERIES].find(mine, PLACE))
    # Taken before an answer of this job was lost, whoever sees their dispatch through by now.
    lost = [one for one in rows if one["_id"] not in known]
    taken = _taken(database, _by_dispatch(lost), owner, others | {owner})
    room, weigh = wanted
    offers: list[Stored] = []
    for channel, most in room.items():
        found = find_offers(database, channel, most, others)
        offers += found.in_turn(weigh, most, 1 + len(others))
    taken += _taken(database, _by_dispatch(offers), owner, others)
    still = known & {str(one["_id"]) for one in rows}
    return still | {row for _, ids in taken for row in ids}, [one for one, _ in taken]


_Rows = dict[Channel, list[str]]


def _by_dispatch(rows: Iterable[Stored]) -> dict[str, _Rows]:
    found: dict[str, _Rows] = defaultdict(lambda: defaultdict(list))
    for one in rows:
        channel = cast("Channel", str(one["channel"]))
        found[str(one["dispatch"])][channel].append(str(one["_id"]))
    return found


def _taken(
    database: Database, found: Mapping[str, _Rows], holder: str, owners: frozenset[str]
) -> list[tuple[tuple[Taken, int], list[str]]]:
    """What the holder has now of dispatches of these owners."""
    taken: list[tuple[tuple[Taken, int], list[str]]] = []
    for dispatch_id, rows in found.items():
        query: Stored = {"_id": dispatch_id, "state": "running"}
        dispatch = database[DISPATCHES].find_one(query, WITHOUT_REQUEST)
        if dispatch is not None and dispatch.get("owner") in owners:
            one = _take_of(database, dispatch, rows, holder)
            ids = [
                row_id(dispatch_id, channel, delivery.key)
                for channel, deliveries in one[0].deliveries.items()
                for delivery in deliveries
            ]
            taken.append((one, ids))
    return taken


def _take_of(
    database: Database, dispatch: Stored, rows: Mapping[Channel, Sequence[str]], owner: str
) -> tuple[Taken, int]:
    dispatch_id, round_ = str(dispatch["_id"]), whole(dispatch["round"])
    unfinished = Unfinished(
        id=dispatch_id,
        channels=[name for name in channels_of(dispatch) if name in rows],
        cancelled=False,
        counts={},
        progress={},
        caller=str(dispatch.get("caller", "")),
    )
    deliveries = {}
    for channel, ids in rows.items():
        held = _hold(database, ids, owner)
        part = Part(dispatch_id, channel, round_)
        deliveries[channel] = pending_of(database, part, held)
    return Taken(unfinished, deliveries), round_


def _hold(database: Database, ids: Sequence[str], owner: str) -> list[Stored]:
    """Take those that are still free; returns them in order."""
    held: list[Stored] = []
    for some in parts(ids):
        free: Stored = {"_id": {"$in": some}, "holder": NOBODY}
        database[DELIVERIES].update_many(free, {"$set": {"holder": owner}})
        held += [
            one
            for one in database[DELIVERIES].find({"_id": {"$in": some}})
            if one.get("holder") == owner and one["outcome"] == "pending"
        ]
    return sorted(held, key=lambda one: str(one["_id"]))
