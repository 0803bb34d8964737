"""Deliveries without an outcome in MongoDB: what was tried for them, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from carillon.messages.model import Channel, Outcome, Reason, Receipt, delivery_id
from carillon.messages.ports.records import PastAttempt, Pending, Result
from carillon.stores.mongodb import Database, Stored
from carillon.stores.mongodb_batch import apply_endings, attempts_of, find_endings
from carillon.stores.mongodb_rows import (
    DELIVERIES,
    ending_id,
    key_of,
    parts,
    text_or_none,
    whole,
)


@dataclass(frozen=True, slots=True)
class Part:
    """One channel of a dispatch that was driven again so often."""

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
    # Whoever wrote these died before the deliveries were told.
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
    """How a delivery ended, as it was told."""
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
