"""Who of the others is alive, as one replica sees it, and what the dead and gone have set free.

No clock is compared with another machine's, but for what is long over (`SKEW`). A replica sees a
beat for the first time at t. If it later writes, in place of exactly the version it has read, a
sheet that takes something from an entry with that beat, then no exchange of the entry's owner
succeeded in between, and the last one that did began before t: so its lease ended by t + LEASE,
nothing of it started later, and what is held counts until t + LEASE + `rest` at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from carillon.actors.capacity.ledger import LeaseLedger, ReplicaLease, Spent
from carillon.actors.capacity.share import DRIFT
from carillon.stores.liveness import LEASE, LivenessDetector

if TYPE_CHECKING:
    from datetime import datetime

DEAD: Final = 4.0
"""Seconds after which a replica whose beat has not changed is taken to be dead."""
SKEW: Final = 60.0
"""Seconds by which the wall clocks of two replicas may differ.

They are asked only about the dead and gone, so that a window of a day need not be watched for a day
after each restart.
"""
LONGEST_DAY: Final = timedelta(hours=26)
"""From one reset of a quota to the next, whatever summer time adds and clocks differ by."""
SPENT_FOR: Final = timedelta(hours=1)
"""How long after its end a quota is remembered; wall clocks differ by less."""


class LedgerWatch:
    """What one replica has seen of the others on one board; it is called `me` there."""

    def __init__(self, me: str) -> None:
        self.me = me
        self._detector = LivenessDetector(DEAD)
        self._turn = -1
        self._turn_since = 0.0

    def look(self, sheet: LeaseLedger, now: float) -> None:
        """The sheet has been read, and the answer came `now`."""
        if sheet.turn != self._turn:
            self._turn, self._turn_since = sheet.turn, now
        self._detector.look({name: one.beat for name, one in sheet.entries.items()}, now)

    def turn_lasts(self, now: float) -> float:
        """For how many seconds the turn has been the same."""
        return now - self._turn_since

    def others(self, sheet: LeaseLedger) -> Mapping[str, ReplicaLease]:
        """The entries of the others."""
        return {name: entry for name, entry in sheet.entries.items() if name != self.me}

    def lives(self, name: str, entry: ReplicaLease, now: float) -> bool:
        """Whether a replica is to be reckoned with. Only what it writes itself tells, no clock."""
        return not entry.left and self._detector.lives(name, now)

    def tidied(self, sheet: LeaseLedger, now: float, wall: datetime) -> LeaseLedger:
        """The sheet without what the dead and those who left do not hold any more."""
        entries = dict(sheet.entries)
        spent = [_in_reach(one, wall) for one in sheet.spent if one.ends > wall - SPENT_FOR]
        for name, entry in self.others(sheet).items():
            if self.lives(name, entry, now):
                continue
            entries[name] = rested = self._rested(name, entry, now, wall)
            if not any(pool.held for pool in rested.pools.values()):
                del entries[name]
                spent += [_in_reach(one, wall) for one in spent_by(entry)]
        return replace(sheet, entries=entries, spent=summed(spent))

    def _rested(self, name: str, entry: ReplicaLease, now: float, wall: datetime) -> ReplicaLease:
        lease = 0.0 if entry.left else LEASE
        seen, said = self._detector.unchanged_for(name, now), wall.timestamp() - entry.at
        pools = {
            pool: replace(held, held=0)
            if seen > (lease + held.rest) * (1 + DRIFT) or said > lease + held.rest + SKEW
            else held
            for pool, held in entry.pools.items()
        }
        return replace(entry, pools=pools)


def _in_reach(spent: Spent, wall: datetime) -> Spent:
    """What is gone of a day that is none of the next: a clock was wrong, and it counts for one."""
    return replace(spent, ends=min(spent.ends, wall + LONGEST_DAY))


def spent_by(entry: ReplicaLease) -> list[Spent]:
    """What is gone of a quota with a replica: whatever it was allowed."""
    return [] if entry.quota is None else [Spent(entry.quota.ends, entry.quota.held)]


def summed(spent: list[Spent]) -> tuple[Spent, ...]:
    """One number for each day."""
    days: dict[datetime, int] = {}
    for one in spent:
        days[one.ends] = days.get(one.ends, 0) + one.number
    return tuple(Spent(ends, number) for ends, number in sorted(days.items()) if number)
