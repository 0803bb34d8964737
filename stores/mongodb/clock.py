"""The last look at the clock for a store in MongoDB, and which records get a new date."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from carillon.messages.clock import FAR, Sighting
from carillon.messages.errors import JournalUnavailable
from carillon.stores.mongodb.client import ABOUT, Database, MongoStore, Stored
from carillon.stores.mongodb.handovers import HANDOVERS
from carillon.stores.mongodb.journal.dispatches import KEYS
from carillon.stores.mongodb.outbox import EVENTS
from carillon.stores.mongodb.schema import DISPATCHES, whole

T = TypeVar("T")
_SECONDS: Final = 10.0
_CLOCK: Final[Stored] = {"_id": "clock"}
_TIMES: Final = ((DISPATCHES, "endedAt"), (EVENTS, "endedAt"), (HANDOVERS, "at"))


class MongoSightings:
    """Implements `messages.clock.Sightings`: one document for all replicas.

    While the clocks of two of them are far apart both are doubted, because it is unknown which is
    right.
    """

    def __init__(self, store: MongoStore) -> None:
        self._store = store

    async def last(self) -> Sighting | None:
        """See the port."""
        return await self._do(_last)

    async def keep(self, sighting: Sighting) -> None:
        """See the port."""
        kept = {"$set": {"at": sighting.at, "doubt": sighting.doubt}}
        await self._do(lambda database: database[ABOUT].update_one(_CLOCK, kept, upsert=True))

    async def date_anew(self, now: int) -> None:
        """See the port."""
        await self._do(lambda database: _date_anew(database, now))

    async def _do(self, job: Callable[[Database], T]) -> T:
        return await self._store.run(job, _SECONDS, JournalUnavailable, "keep the time")


def _last(database: Database) -> Sighting | None:
    found = database[ABOUT].find_one(_CLOCK)
    if found is not None:
        return Sighting(whole(found.get("at")), whole(found.get("doubt")))
    newest = database[DISPATCHES].find_one(
        {"createdAt": {"$exists": True}}, {"createdAt": 1}, sort=[("createdAt", -1)]
    )
    return None if newest is None else Sighting(whole(newest["createdAt"]))


def _date_anew(database: Database, now: int) -> None:
    for collection, field in _TIMES:
        future: Stored = {field: {"$gt": now + FAR}}
        database[collection].update_many(future, {"$set": {field: now}})
    for one in database[KEYS].find({"at": {"$gt": now + FAR}}):
        expires = one.get("expires")
        lives = timedelta(days=1)
        if isinstance(expires, datetime):
            lives = expires - datetime.fromtimestamp(whole(one["at"]) / 1000, UTC)
        dated: Stored = {"at": now, "expires": datetime.fromtimestamp(now / 1000, UTC) + lives}
        database[KEYS].update_one({"_id": one["_id"], "at": one["at"]}, {"$set": dated})
