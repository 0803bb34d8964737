"""The board of shares in MongoDB: one document a provider, changed by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar
from uuid import uuid4

from pymongo.errors import DuplicateKeyError

from carillon.messages.errors import JournalUnavailable
from carillon.stores.mongodb.client import Database, MongoStore, Stored

T = TypeVar("T")
SHARES: Final = "shares"

_SECONDS: Final = 1.5
"""A lease lasts for 3 seconds from the beginning of a read and a write."""


class MongoShares:
    """Implements `stores.ports.CompareAndSetStore`.

    A version is a random token of its writer. So a write whose answer got lost is recognised by its
    token on the retry, and a write that arrives late finds another token in its place.
    """

    def __init__(self, store: MongoStore) -> None:
        self._store = store

    async def read(self, provider: str) -> tuple[str, str]:
        """See the port."""
        return await self._do(lambda database: _read(database, provider), "read")

    async def swap(self, provider: str, version: str, text: str) -> bool:
        """See the port."""
        token = uuid4().hex
        return await self._do(
            lambda database: _swap(database, provider, (version, token), text), "write"
        )

    async def _do(self, job: Callable[[Database], T], what: str) -> T:
        return await self._store.run(job, _SECONDS, JournalUnavailable, f"{what} shares of limits")


def put(database: Database, provider: str, text: str) -> None:
    """Write a text over any version, while nothing else uses the board."""
    board: Stored = {"version": uuid4().hex, "text": text}
    database[SHARES].replace_one({"_id": provider}, board, upsert=True)


def text_of(database: Database, provider: str) -> str:
    """What is written; empty when nothing was yet."""
    return _read(database, provider)[1]


def _read(database: Database, provider: str) -> tuple[str, str]:
    found = database[SHARES].find_one({"_id": provider})
    return ("", "") if found is None else (str(found["version"]), str(found["text"]))


def _swap(database: Database, provider: str, versions: tuple[str, str], text: str) -> bool:
    before, after = versions
    shares = database[SHARES]
    if before:
        kept = {"$set": {"version": after, "text": text}}
        if shares.update_one({"_id": provider, "version": before}, kept).matched_count:
            return True
    else:
        try:
            shares.insert_one({"_id": provider, "version": after, "text": text})
        except DuplicateKeyError:
            pass  # by another replica, or by this one, whose answer got lost
        else:
            return True
    return shares.count_documents({"_id": provider, "version": after}, limit=1) > 0
