"""How the journal lies in MongoDB: its collections and ids, and writes that may be done twice.

What is written for each message is inserted and not updated: many inserts are one commit, many
updates are one each. So an attempt and an ending are documents of their own, and a delivery's
outcome is set for many at once, by their ids.

An id is used once, and the first to insert it owns it: that fences off a process that was taken for
dead. Two processes cannot start the attempt of one number, and a delivery ends once.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final, TypeVar

from pymongo import IndexModel
from pymongo.errors import BulkWriteError
from pymongo.synchronous.collection import Collection

from carillon.messages.model import Channel
from carillon.stores.mongodb.client import Indexes, Stored

T = TypeVar("T")

DISPATCHES: Final = "dispatches"
WITHOUT_REQUEST: Final = {"request": 0}
"""All of a dispatch but what may be long."""
DELIVERIES: Final = "deliveries"
ATTEMPTS: Final = "attempts"
ENDINGS: Final = "endings"

JOURNAL_INDEXES: Final[Indexes] = {
    DISPATCHES: [
        IndexModel([("createdAt", -1), ("_id", -1)]),
        IndexModel([("owner", 1)], sparse=True),
        IndexModel([("endedAt", 1)], sparse=True),
    ],
    DELIVERIES: [
        IndexModel([("dispatch", 1), ("outcome", 1), ("_id", 1)]),
        IndexModel([("holder", 1)], sparse=True),
    ],
    ATTEMPTS: [IndexModel([("delivery", 1)])],
}

MOST_IDS: Final = 200
"""Of one `$in`."""
_DUPLICATE: Final = 11000
_WORTH_PACKING: Final = 65_536


def row_id(dispatch_id: str, channel: Channel, key: str) -> str:
    """The `_id` of a delivery. Those of one channel of a dispatch are neighbours, as keys are."""
    return f"{dispatch_id}/{channel}/{storable(key)}"


def key_of(row: str) -> str:
    """The key in such an id."""
    return row.split("/", 2)[2]


def rows_after(dispatch_id: str, channel: str, key: str) -> dict[str, str]:
    """A condition on `_id`: the deliveries of a channel beyond a key; "" is before the first."""
    return {"$gt": f"{dispatch_id}/{channel}/{storable(key)}", "$lt": f"{dispatch_id}/{channel}0"}


def all_rows(dispatch_id: str) -> dict[str, str]:
    """A condition on `_id`: every delivery, attempt or ending of a dispatch."""
    return {"$gt": f"{dispatch_id}/", "$lt": f"{dispatch_id}0"}


def attempt_id(row: str, number: int) -> str:
    """The `_id` of an attempt: the `number`-th of its delivery."""
    return f"{row}#{number}"


def ending_id(row: str, ending: str | int) -> str:
    """The `_id` of how a delivery ended; it may be redriven, and ends once each round.

    `ending` is the number of the round, or the name of a late outcome.
    """
    return f"{row}#{ending}"


def storable(text: str) -> str:
    """A text as BSON takes it: a provider's answer may hold half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text


def packed(text: str | bytes) -> str | bytes:
    """A long text in less room: a document holds 16 MB, and a request may be as long."""
    if isinstance(text, bytes):
        return zlib.compress(text, 1)
    text = storable(text)
    return text if len(text) < _WORTH_PACKING else zlib.compress(text.encode(), 1)


def unpacked(value: object) -> str | bytes | None:
    """The text that `packed` was given, in UTF-8 if it is packed; None if it cannot be read."""
    if isinstance(value, bytes):
        with suppress(zlib.error):
            return zlib.decompress(value)
    return value if isinstance(value, str) else None


def whole(value: object) -> int:
    """A number as it was written; 0 for what is none."""
    return int(value) if isinstance(value, int | float) else 0


def text_or_none(value: object) -> str | None:
    """A text as it was written."""
    return None if value is None else str(value)


def parts(items: Iterable[T], size: int = MOST_IDS) -> Iterator[list[T]]:
    """The items in lists of at most `size`."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def insert_own(collection: Collection[Stored], documents: Sequence[Stored]) -> set[object]:
    """Insert what is not there; the `_id`s of all that are there and ours.

    Ours are those whose `by` is that of the document given, so this may be done twice. What a
    unique index other than that of `_id` refuses is not there.

    Raises PyMongoError.
    """
    if not documents:
        return set()
    by: Mapping[object, object] = {one["_id"]: one["by"] for one in documents}
    try:
        collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        refused = refused_places(error)
    else:
        return set(by)
    ours = set(by) - {documents[place]["_id"] for place in refused}
    for ids in parts([documents[place]["_id"] for place in refused]):
        for one in collection.find({"_id": {"$in": ids}}, {"by": 1}):
            if one.get("by") == by[one["_id"]]:
                ours.add(one["_id"])
    return ours


def refused_places(error: BulkWriteError) -> list[int]:
    """The places of what was there already. Raises the error again when that was not all."""
    told = error.details["writeErrors"]
    if error.details["writeConcernErrors"] or any(one["code"] != _DUPLICATE for one in told):
        raise error
    return [int(one["index"]) for one in told]
