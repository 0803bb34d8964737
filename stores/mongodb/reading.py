"""What the journal in MongoDB tells of dispatches and deliveries, whichever replica wrote them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeVar, cast

from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import CHANNELS, Channel, Outcome, Reason, delivery_id
from carillon.messages.ports.records import (
    DeliveryRecord,
    DispatchPage,
    DispatchRecord,
    DispatchState,
    RecordFilter,
    RecordPage,
    Remembered,
    audience_record,
)
from carillon.stores.cursors import cursor_of, ids_after, place_of
from carillon.stores.mongodb.client import Database, MongoStore, Stored
from carillon.stores.mongodb.journal.dispatches import conditions, key_name, remembered
from carillon.stores.mongodb.journal.writes import attempts_of, find_endings
from carillon.stores.mongodb.schema import (
    DELIVERIES,
    DISPATCHES,
    all_rows,
    ending_id,
    key_of,
    parts,
    rows_after,
    storable,
    text_or_none,
    whole,
)

T = TypeVar("T")
READ_SECONDS: Final = 10.0
_NEWEST: Final = 2**63 - 1


class MongoReader:
    """Reads in threads; `flush` makes durable first what was handed over here."""

    def __init__(self, store: MongoStore, flush: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._flush = flush

    async def read(self, job: Callable[[Database], T], *, newest: bool = True) -> T:
        """What `job` returns; it may be done twice. Raises JournalUnavailable."""
        if newest:
            with suppress(JournalUnavailable):  # what was durable before can still be read
                await self._flush()
        return await self._store.run(job, READ_SECONDS, JournalUnavailable, "read the journal")


class MongoRecords:
    """Implements `messages.ports.records.Records`."""

    def __init__(self, reader: MongoReader) -> None:
        self._reader = reader

    async def dispatch(self, dispatch_id: str) -> DispatchRecord | None:
        """See the port."""
        return await self._reader.read(lambda database: _dispatch(database, dispatch_id))

    async def dispatches(
        self, state: DispatchState | None, cursor: str, limit: int, prefix: str = ""
    ) -> DispatchPage:
        """See the port."""
        at, identity = place_of(cursor, [_NEWEST, ""])
        before = int(str(at)), str(identity)
        query = _in_state(state)
        if prefix:
            query["_id"] = {"$gte": storable(prefix), "$lt": ids_after(storable(prefix))}
        return await self._reader.read(lambda database: _dispatches(database, query, before, limit))

    async def deliveries(
        self, dispatch_id: str, wanted: RecordFilter, cursor: str, limit: int
    ) -> RecordPage:
        """See the port."""
        channel, key = map(str, place_of(cursor, ["", ""]))
        return await self._reader.read(
            lambda database: _deliveries(database, dispatch_id, wanted, (channel, key), limit)
        )

    async def remembered(self, caller: str, route: str, key: str, since: int) -> Remembered | None:
        """See the port."""
        name = key_name(caller, route, key)
        return await self._reader.read(
            lambda database: remembered(database, name, since), newest=False
        )


def _dispatch(database: Database, dispatch_id: str) -> DispatchRecord | None:
    query: Stored = {"_id": dispatch_id, "state": {"$exists": True}}
    found = database[DISPATCHES].find_one(query, _SHOWN)
    return None if found is None else _record(database, found)


_SHOWN: Final = {"request": 0}


def _dispatches(
    database: Database, wanted: Stored, before: tuple[int, str], limit: int
) -> DispatchPage:
    query = {**wanted}
    at, identity = before
    if at < _NEWEST:
        same: Stored = {"createdAt": at, "_id": {"$lt": identity}}
        query["$or"] = [{"createdAt": {"$lt": at}}, same]
    order = [("createdAt", -1), ("_id", -1)]
    found = list(database[DISPATCHES].find(query, _SHOWN).sort(order).limit(limit))
    following = None
    if len(found) == limit:
        following = cursor_of(whole(found[-1]["createdAt"]), str(found[-1]["_id"]))
    return DispatchPage([_record(database, one) for one in found], following)


def _in_state(state: DispatchState | None) -> Stored:
    match state:
        case None:
            return {"state": {"$exists": True}}
        case "cancelling":
            return {"state": "cancelled", "endedAt": {"$exists": False}}
        case "cancelled":
            return {"state": "cancelled", "endedAt": {"$exists": True}}
    return {"state": state}


def _record(database: Database, stored: Stored) -> DispatchRecord:
    dispatch_id, channels = str(stored["_id"]), channels_of(stored)
    state, ended, total = str(stored["state"]), stored.get("endedAt"), stored.get("total")
    counts, read = Counter[str](), Counter[str]()
    for channel, outcome, number in _numbers(database, dispatch_id):
        counts[outcome] += number
        read[channel] += number
    if state == "cancelled" and ended is None:
        state = "cancelling"
    return DispatchRecord(
        dispatch_id,
        cast("DispatchState", state),
        channels,
        dict(counts),
        whole(stored["createdAt"]),
        None if ended is None else whole(ended),
        audience_record(
            channels, read, None if total is None else whole(total), complete=_is_read(stored)
        ),
        text_or_none(stored.get("reason")),
        str(stored.get("caller", "")),
    )


def _is_read(stored: Stored) -> bool:
    """Whether the audience of a dispatch has been read to its end."""
    progress = stored.get("progress")
    reached = progress if isinstance(progress, dict) else {}
    return (
        # Those of earlier versions do not say so.
        bool(stored.get("isRead", stored["state"] == "done"))
        or all(name in reached and reached[name][-1] is True for name in channels_of(stored))
    )


def channels_of(stored: Stored) -> Sequence[Channel]:
    """The channels of a dispatch."""
    names = stored["channels"]
    return [name for name in CHANNELS if isinstance(names, list) and name in names]


def counts_of(database: Database, dispatch_id: str) -> Mapping[Outcome, int]:
    """How many deliveries of a dispatch have which outcome."""
    counts = Counter[Outcome]()
    for _, outcome, number in _numbers(database, dispatch_id):
        counts[outcome] += number
    return counts


def _numbers(database: Database, dispatch_id: str) -> Iterator[tuple[str, Outcome, int]]:
    """How many deliveries of a channel have which outcome."""
    alike = {"channel": "$channel", "outcome": "$outcome"}
    grouped = database[DELIVERIES].aggregate(
        [
            {"$match": {"dispatch": dispatch_id}},
            {"$group": {"_id": alike, "number": {"$sum": 1}}},
        ]
    )
    for one in grouped:
        kind = cast("dict[str, str]", one["_id"])
        yield kind["channel"], cast("Outcome", kind["outcome"]), whole(one["number"])


def _deliveries(
    database: Database,
    dispatch_id: str,
    wanted: RecordFilter,
    after: tuple[str, str],
    limit: int,
) -> RecordPage:
    channel, key = after
    beyond = {**all_rows(dispatch_id)}
    if channel:
        beyond["$gt"] = rows_after(dispatch_id, channel, key)["$gt"]
    found, tried = _found(database, {"_id": beyond}, wanted, limit)
    ids = [ending_id(str(one["_id"]), str(one["ending"])) for one in found if "ending" in one]
    endings = find_endings(database, ids)
    following = None
    if len(found) == limit:
        following = cursor_of(str(found[-1]["channel"]), key_of(str(found[-1]["_id"])))
    told = [_delivery(dispatch_id, one, endings, tried[one["_id"]]) for one in found]
    return RecordPage(told, following)


def _found(
    database: Database, beyond: Stored, wanted: RecordFilter, limit: int
) -> tuple[list[Stored], Mapping[object, Sequence[Stored]]]:
    """The first rows that are wanted, and the attempts of those that have not ended."""
    query: Stored = {**beyond, **conditions(replace(wanted, provider=None))}
    if wanted.provider is not None:
        query["$or"] = [{"provider": storable(wanted.provider)}, {"outcome": "pending"}]
    found: list[Stored] = []
    tried: dict[object, Sequence[Stored]] = {}
    # One at a provider may be the last of many that are pending: they are read in parts.
    most = limit if wanted.provider is None else 0
    for part in parts(database[DELIVERIES].find(query).sort("_id", 1).limit(most), limit):
        attempts = attempts_of(database, [str(one["_id"]) for one in part if "ending" not in one])
        for row in part:
            if _is_at(row, attempts.get(row["_id"], ()), wanted.provider):
                found.append(row)
                tried[row["_id"]] = attempts.get(row["_id"], ())
        if len(found) >= limit:
            break
    return found[:limit], tried


def _is_at(row: Stored, tried: Sequence[Stored], provider: str | None) -> bool:
    """Whether a delivery ended at a provider, or is pending after an attempt there."""
    if provider is None or row["outcome"] != "pending":
        return True
    return any(one["provider"] == storable(provider) for one in _counting(row, tried))


def _delivery(
    dispatch_id: str, row: Stored, endings: Mapping[str, Stored], tried: Sequence[Stored]
) -> DeliveryRecord:
    identity = str(row["_id"])
    channel, key = cast("Channel", str(row["channel"])), key_of(identity)
    ending = endings.get(ending_id(identity, str(row.get("ending"))), {})
    if row["outcome"] == "pending":
        row, ending = _so_far(row, tried)
    ended = row.get("endedAt")
    return DeliveryRecord(
        delivery_id(dispatch_id, channel, key),
        channel,
        str(row["userId"]),
        cast("Outcome", str(row["outcome"])),
        cast("Reason | None", text_or_none(row.get("reason"))),
        text_or_none(ending.get("error")) or None,
        text_or_none(row.get("provider")),
        text_or_none(ending.get("providerMessageId")),
        whole(row.get("attempts")),
        whole(row["createdAt"]),
        None if ended is None else whole(ended),
    )


def _so_far(row: Stored, tried: Sequence[Stored]) -> tuple[Stored, Stored]:
    """A pending delivery and its ending as if the last attempt had been all."""
    counting = _counting(row, tried)
    if not counting:
        return row, {}
    errors = [one["error"] for one in counting if "error" in one]
    made: Stored = {"attempts": len(counting), "provider": counting[-1]["provider"]}
    return {**row, **made}, {"error": errors[-1]} if errors else {}


def _counting(row: Stored, tried: Sequence[Stored]) -> Sequence[Stored]:
    """The attempts since a delivery was driven again last of which a byte left, in order."""
    return [
        one
        for one in sorted(tried, key=lambda one: whole(one["number"]))
        if whole(one["number"]) > whole(row.get("triesFrom")) and one.get("result") != "unstarted"
    ]
