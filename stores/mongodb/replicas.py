"""The replicas that share a MongoDB: which of them live, told by their heartbeats.

A replica holds its lease for `LEASE` seconds from when it last began a heartbeat that reached the
store, and another one takes it for dead once it has seen the same heartbeat for `SILENCE` seconds:
see `stores/liveness.py`. As `SILENCE` is longer, a lease is over before anybody is taken for dead.
Whoever was is struck off the list, learns it at its next heartbeat, and joins anew: its id is that
of one life among the replicas, and names its dispatches, its attempts and its shares of limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf
from typing import Final, TypeVar
from uuid import uuid4

import trio

from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import Channel, Priority
from carillon.messages.ports.work_sharing import CallerRotation, Served
from carillon.stores.liveness import LEASE, LivenessDetector
from carillon.stores.mongodb.client import Database, MongoStore, Stored
from carillon.stores.mongodb.schema import whole

T = TypeVar("T")

REPLICAS: Final = "replicas"

BEAT: Final = 0.5
"""Seconds between two heartbeats."""
SILENCE: Final = 5.0
"""Seconds of the same heartbeat after which a replica is dead; others go on with its dispatches."""
_WITHIN: Final = 2.0


class MongoReplicas:
    """This replica among the others, from `join` to `leave`."""

    def __init__(self, store: MongoStore) -> None:
        self.id = ""
        self.others: frozenset[str] = frozenset()
        self._store = store
        self._beat = 0
        self._leased_until = -inf
        self._detector = LivenessDetector(SILENCE)
        self._served: dict[str, Served] = {}

    @property
    def living(self) -> frozenset[str]:
        """Every replica whose work is its own, this one included."""
        return self.others | {self.id}

    @property
    def holds_lease(self) -> bool:
        """Whether nobody can have taken this replica for dead."""
        return trio.current_time() < self._leased_until

    async def join(self) -> None:
        """Become a replica that nobody has known. Raises JournalUnavailable."""
        identity, began = uuid4().hex, trio.current_time()
        await self._do(lambda database: _join(database, identity), "join the replicas")
        self.id, self._beat = identity, 0
        self._leased_until = began + LEASE
        await self.beat()

    async def beat(self, turns: CallerRotation | None = None) -> bool:
        """Tell that this one lives, and look who else does; False when it was taken for dead.

        What each has begun with for whom is told along, so that callers take turns over all.

        Raises JournalUnavailable.
        """
        began = trio.current_time()
        self._beat += 1
        identity, beat = self.id, self._beat
        served = {} if turns is None else turns.served()
        told = await self._do(lambda database: _beat(database, identity, beat, served), "beat")
        if told is None:
            self._leased_until = -inf
            return False
        found, elsewhere = told
        if turns is not None:
            turns.charge(self._news(elsewhere))
        self._leased_until = began + LEASE
        silent = self._silent(found)
        if silent:
            await self._do(lambda database: _strike_off(database, silent), "beat")
        self.others = frozenset(found) - {identity} - set(silent)
        return True

    async def leave(self) -> None:
        """Let others take up at once what this one has not ended. Raises JournalUnavailable."""
        self._leased_until = -inf
        identity = self.id
        await self._do(
            lambda database: database[REPLICAS].delete_one({"_id": identity}), "leave the replicas"
        )

    def _news(self, served: dict[str, Served]) -> Served:
        """What others have begun with since the last heartbeat; of those that were known then."""
        before, self._served = self._served, served
        news = Counter[tuple[Channel, Priority, str]]()
        for replica in served.keys() & before.keys() - {self.id}:
            for place, number in served[replica].items():
                if (more := number - before[replica].get(place, 0)) > 0:
                    news[place] += more
        return news

    def _silent(self, found: dict[str, int]) -> dict[str, int]:
        """Those that have said nothing for too long, and their last heartbeat."""
        now = trio.current_time()
        self._detector.look(found, now)
        return {
            name: beat
            for name, beat in found.items()
            if name != self.id and not self._detector.lives(name, now)
        }

    async def _do(self, job: Callable[[Database], T], task: str) -> T:
        return await self._store.run(job, _WITHIN, JournalUnavailable, task)


def _join(database: Database, identity: str) -> None:
    database[REPLICAS].update_one({"_id": identity}, {"$set": {"beat": 0}}, upsert=True)


def _beat(
    database: Database, identity: str, beat: int, served: Served
) -> tuple[dict[str, int], dict[str, Served]] | None:
    """The last heartbeat of each, and what it served; None when this one is no replica any more."""
    numbers = [[*place, number] for place, number in served.items()]
    mine: Stored = {"beat": beat, "served": numbers}
    if not database[REPLICAS].update_one({"_id": identity}, {"$set": mine}).matched_count:
        return None
    found = {str(one["_id"]): one for one in database[REPLICAS].find()}
    beats = {name: whole(one.get("beat")) for name, one in found.items()}
    return beats, {name: _served(one.get("served")) for name, one in found.items()}


def _served(stored: object) -> Served:
    rows = stored if isinstance(stored, list) else []
    return {(channel, priority, caller): number for channel, priority, caller, number in rows}


def _strike_off(database: Database, silent: dict[str, int]) -> None:
    for identity, beat in silent.items():
        database[REPLICAS].delete_one({"_id": identity, "beat": beat})
