"""Which of the deliveries that replicas offer each other is taken next: callers take turns.

Offers lie in the order in which they came, and those of one caller may be many thousands. So when
there are more than a look takes in, some of each other caller are looked for by their dispatches.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import sample
from typing import Final

from carillon.messages.model import Channel
from carillon.messages.ports.work_sharing import Weigh
from carillon.stores.mongodb.client import Database, Stored
from carillon.stores.mongodb.journal.writes import NOBODY
from carillon.stores.mongodb.schema import DELIVERIES, DISPATCHES, MOST_IDS, parts

PLACE: Final = {"dispatch": 1, "channel": 1}
_SEEN: Final = 600
"""Offers that one look takes in, the oldest first."""
_CALLERS: Final = 32
"""Callers that one look asks for beside those; each look draws them by lot."""
_DISPATCHES: Final = 16
"""Dispatches that are taken from at once, or one of each caller: each costs some questions."""
_FEWEST: Final = 20
"""So many of the last of a dispatch are worth taking by one replica."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What other replicas offer of one channel, and the dispatches that it belongs to."""

    channel: Channel
    rows: Sequence[Stored]
    dispatches: Mapping[str, Stored]

    def in_turn(self, weigh: Weigh, most: int, replicas: int) -> Sequence[Stored]:
        """At most so many: callers in turn by weight, and then the dispatches of each.

        Of the last of what is offered no replica takes more than its part: it would send that
        while the others have nothing to do any more.
        """
        ordered = self._by_caller(self._by_dispatch(self._few()), weigh)
        last = [row for row in ordered if self._is_last(row)]
        part = max(_FEWEST, -(-len(last) // replicas))
        beyond = {str(row["_id"]) for row in last[part:]}
        return [row for row in ordered if row["_id"] not in beyond][:most]

    def _few(self) -> Iterator[Stored]:
        """The rows of the first dispatches of each caller."""
        chosen: dict[str, set[str]] = defaultdict(set)
        callers = {_caller(self.dispatches[str(row["dispatch"])]) for row in self.rows}
        most = max(1, _DISPATCHES // max(1, len(callers)))
        for row in self.rows:
            name = str(row["dispatch"])
            several = chosen[_caller(self.dispatches[name])]
            if len(several) < most:
                several.add(name)
            if name in several:
                yield row

    def _by_dispatch(self, rows: Iterable[Stored]) -> Iterable[Stored]:
        number = Counter[str]()
        placed: list[tuple[int, Stored]] = []
        for row in rows:
            number[str(row["dispatch"])] += 1
            placed.append((number[str(row["dispatch"])], row))
        placed.sort(key=lambda one: one[0])
        return (row for _, row in placed)

    def _by_caller(self, rows: Iterable[Stored], weigh: Weigh) -> Sequence[Stored]:
        number = Counter[str]()
        placed: list[tuple[float, Stored]] = []
        for row in rows:
            caller = _caller(self.dispatches[str(row["dispatch"])])
            number[caller] += 1
            placed.append((number[caller] / weigh(caller), row))
        placed.sort(key=lambda one: one[0])
        return [row for _, row in placed]

    def _is_last(self, row: Stored) -> bool:
        """Whether its owner has read the audience to its end and will offer no more."""
        progress = self.dispatches[str(row["dispatch"])].get("progress")
        reached = progress.get(self.channel) if isinstance(progress, dict) else None
        return isinstance(reached, list) and reached[2:] == [True]


def find_offers(database: Database, channel: Channel, most: int, owners: frozenset[str]) -> Offers:
    """What there is of dispatches of these owners; of each caller up to `most`, where it has any.

    Raises PyMongoError.
    """
    offered: Stored = {"holder": NOBODY, "outcome": "pending", "channel": channel}
    rows = list(database[DELIVERIES].find(offered, PLACE).limit(_SEEN))
    if len(rows) < _SEEN:
        ids = sorted({str(row["dispatch"]) for row in rows})
        dispatches = dict(_dispatches(database, [{"_id": {"$in": some}} for some in parts(ids)]))
    else:
        dispatches = dict(_dispatches(database, [{"owner": {"$in": sorted(owners)}}]))
        rows += _of_each_caller(database, offered, most, dispatches)
    known = {name: one for name, one in dispatches.items() if one.get("owner") in owners}
    several = {str(row["_id"]): row for row in rows if row["dispatch"] in known}
    return Offers(channel, list(several.values()), known)


def _dispatches(database: Database, queries: Iterable[Stored]) -> Iterator[tuple[str, Stored]]:
    fields = {"owner": 1, "caller": 1, "progress": 1}
    for query in queries:
        for one in database[DISPATCHES].find({**query, "state": "running"}, fields):
            yield str(one["_id"]), one


def _of_each_caller(
    database: Database, offered: Stored, most: int, dispatches: Mapping[str, Stored]
) -> list[Stored]:
    by_caller: dict[str, list[str]] = defaultdict(list)
    for name, one in dispatches.items():
        by_caller[_caller(one)].append(name)
    rows: list[Stored] = []
    for caller in sample(sorted(by_caller), min(_CALLERS, len(by_caller))):
        names = by_caller[caller]
        some = {"$in": sample(names, min(MOST_IDS, len(names)))}
        rows += database[DELIVERIES].find({**offered, "dispatch": some}, PLACE).limit(most)
    return rows


def _caller(dispatch: Stored) -> str:
    return str(dispatch.get("caller", ""))
