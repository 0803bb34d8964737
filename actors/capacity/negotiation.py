"""What one replica writes on a provider's board, and what it may use once that is written.

Let C be the calls of a replica that count now in a pool: promised, or perhaps still in the window
or open. C grows only by a promise, and that is given only while C stays within the limit. An
exchange reads the sheet; lowers the limit at once if it is to be lower; writes that the replica
holds max(new limit, C) in place of exactly what it has read; and raises the limit, if it is to be
higher, after that was written. So C is within what the entry holds at every moment, whether the
write arrives or not, and late or in time: until the write is known to have been done, the limit is
the lower of both. A new limit is at most the total less what the others hold, so all entries
together hold no more than the total (see `actors/capacity/ledger.py`), and in every window of the
provider's there are no more calls than that. A call is given back to the others only when it has
ceased to count, which is why nothing rests while its holder lives. Calls that were made before
there was a board are taken from the total of each pool that counts them: see
`actors/capacity/past_calls.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Final

from carillon.actors.capacity.entitlement import NOBODY, Waiting, entitled, merged
from carillon.actors.capacity.ledger import Has, HasQuota, LeaseLedger, ReplicaLease, divide
from carillon.actors.capacity.liveness import LedgerWatch, spent_by, summed
from carillon.actors.capacity.past_calls import in_day, in_window, still_counting
from carillon.actors.capacity.share import (
    CONCURRENCY,
    DEMAND_WINDOW,
    Grant,
    Part,
    QuotaUse,
    Usage,
    Use,
)
from carillon.actors.provider.quota import NOTHING_ALLOWED, Allowance

if TYPE_CHECKING:
    from datetime import datetime

TURN: Final = 4.0
"""Seconds for which those who have nothing wait for the next turn."""
LONGEST_TURN: Final = 8.0
"""The same while whose turn it is has not got it yet: the store is slow, or a call is open."""
HEADROOM: Final = 1.1
"""How much more than it has used lately a replica wants that is not short of anything."""
_FULL: Final = 0.9  # of a limit: then it is what holds a replica up
_STEP: Final = 0.01  # of a quota: what is allowed ahead of use
_LARGEST_STEP: Final = 100
_AHEAD: Final = 1.0  # seconds of the present use


@dataclass(frozen=True, slots=True)
class Proposal:
    """A sheet to write, and what may be used when it is written."""

    sheet: LeaseLedger
    grant: Grant


@dataclass(frozen=True, slots=True)
class _Moment:
    at: float
    begun: int
    used: Mapping[str, int]
    short: frozenset[str]
    waiting: Waiting


@dataclass(frozen=True, slots=True)
class _Scene:
    """A tidied sheet, the entries of the others, and those that are to be reckoned with.

    `gone` is what calls of before there was a board take of each pool.
    """

    sheet: LeaseLedger
    gone: Mapping[str, int]
    others: Mapping[str, ReplicaLease]
    alive: Mapping[str, ReplicaLease]

    def total(self, pool: str, mine: int) -> int:
        """While a change of the pool spreads, the smallest counts that anybody knows of."""
        others = (one.pools[pool].total for one in self.alive.values() if pool in one.pools)
        return min([mine, *others])

    def free(self, pool: str, mine: int) -> int:
        """What nobody else holds; less than nothing after the pool was made smaller."""
        held = sum(one.held(pool) for one in self.others.values())
        return self.total(pool, mine) - held - self.gone.get(pool, 0)

    def for_the_living(self, pool: str, mine: int) -> int:
        """What there is to divide."""
        lost = (one.held(pool) for name, one in self.others.items() if name not in self.alive)
        return max(0, self.total(pool, mine) - sum(lost) - self.gone.get(pool, 0))


class Exchange:
    """One replica at one provider's board."""

    def __init__(self, me: str) -> None:
        self.watch = LedgerWatch(me)
        self._former = set[str]()
        self._beat = 0
        self._moments = deque[_Moment]()
        self._gone: tuple[datetime, int] | None = None  # of a quota: used, and accounted for
        self._was_in = False

    @property
    def _me(self) -> str:
        return self.watch.me

    def read(self, sheet: LeaseLedger, me: str, now: float) -> LeaseLedger:
        """A sheet has been read, and the answer came `now`; the sheet as this replica is called.

        One that was taken for dead goes on under another id, and with what it holds: its entry
        moves in one write. No id is ever used again.
        """
        if me != self._me:
            self._former.add(self._me)
            self.watch.me = me
        moved = self._former & sheet.entries.keys()
        if moved:
            names = {name: me if name in moved else name for name in sheet.entries}
            entries = {names[name]: entry for name, entry in sheet.entries.items()}
            sheet = replace(sheet, entries=entries)
        self.watch.look(sheet, now)
        return sheet

    def note(self, usage: Usage, now: float, waiting: Waiting = NOBODY) -> None:
        """Remember what was used and who waited, as long as it says something of what will be."""
        short = frozenset(
            name
            for name, use in usage.pools.items()
            if usage.hungry and use.most >= _FULL * use.limit
        )
        used = {name: use.most for name, use in usage.pools.items()}
        self._moments.append(_Moment(now, usage.begun, used, short, waiting))
        while self._moments[0].at < now - DEMAND_WINDOW:
            self._moments.popleft()

    @property
    def is_idle(self) -> bool:
        """Whether nothing has been used or wanted lately."""
        return not any(any(one.used.values()) or one.short for one in self._moments)

    def propose(self, sheet: LeaseLedger, usage: Usage, now: float, wall: datetime) -> Proposal:
        """What to write in place of a sheet, which the watch has seen. `usage` has been noted."""
        scene = self._scene(sheet, usage, now, wall)
        sheet, pools, parts, turn = scene.sheet, dict[str, Has](), dict[str, Part](), 0.0
        waiting = merged(one.waiting for one in self._moments)
        entitlements = entitled(
            {self._me: waiting, **{name: one.waiting for name, one in scene.alive.items()}}
        )
        for name, use in usage.pools.items():
            wants = {key: one.wants(name) for key, one in scene.alive.items()}
            wants[self._me] = self._wants(name, use, usage)
            living = scene.for_the_living(name, use.total)
            fair = divide(living, wants, sheet.turn, entitlements)
            limit = max(0, min(fair[self._me], scene.free(name, use.total)))
            parts[name] = Part(limit, scene.total(name, use.total))
            pools[name] = Has(use.total, max(limit, use.used), wants[self._me], use.rest)
            turn = max(turn, _turn(name, fair, wants, sheet))
        held, allowance = self._quota(usage.quota, scene, wall)
        is_over = 0 < turn <= self.watch.turn_lasts(now)
        entry = replace(self._entry(sheet, pools, held, wall), waiting=waiting)
        entries = {**sheet.entries, self._me: entry}
        return Proposal(
            replace(sheet, entries=entries, turn=sheet.turn + is_over), Grant(parts, allowance)
        )

    def release(self, sheet: LeaseLedger, usage: Usage, now: float, wall: datetime) -> LeaseLedger:
        """What to write when the replica leaves, its lease ended: it holds what still counts."""
        sheet = self._scene(sheet, usage, now, wall).sheet
        pools = {name: Has(use.total, use.used, 0, use.rest) for name, use in usage.pools.items()}
        quota = usage.quota
        used = None
        if quota is not None:
            used = HasQuota(quota.ends, quota.total, quota.used - self._accounted_for(quota))
        entry = replace(self._entry(sheet, pools, used, wall), left=True)
        if any(pool.held for pool in pools.values()):
            return replace(sheet, entries={**sheet.entries, self._me: entry})
        spent = summed([*sheet.spent, *spent_by(entry)])
        return replace(sheet, entries=self.watch.others(sheet), spent=spent)

    def written(self) -> None:
        """What was proposed is on the board."""
        self._was_in = True
        self._former.clear()

    def _scene(self, sheet: LeaseLedger, usage: Usage, now: float, wall: datetime) -> _Scene:
        if self._was_in and self._me not in sheet.entries and usage.quota is not None:
            self._rejoin(sheet, usage.quota)
        sheet = self.watch.tidied(sheet, now, wall)
        gone: Mapping[str, int] = {}
        if sheet.past:
            sheet = replace(sheet, past=still_counting(sheet.past, usage, wall))
            gone = {
                name: in_window(sheet.past, use.rest, wall)
                for name, use in usage.pools.items()
                if name != CONCURRENCY
            }
        others = self.watch.others(sheet)
        alive = {name: one for name, one in others.items() if self.watch.lives(name, one, now)}
        return _Scene(sheet, gone, others, alive)

    def _entry(
        self, sheet: LeaseLedger, pools: Mapping[str, Has], quota: HasQuota | None, wall: datetime
    ) -> ReplicaLease:
        before = sheet.entries.get(self._me)
        self._beat = max(self._beat, 0 if before is None else before.beat) + 1
        return ReplicaLease(self._beat, wall.timestamp(), pools, quota)

    def _wants(self, name: str, use: Use, usage: Usage) -> int:
        """All of a pool when it is short of that; else what it uses, with some headroom.

        What a hungry one does not use it wants all the same, for one call: of two replicas that
        each have the one call of another pool neither could make one.
        """
        if any(name in one.short for one in self._moments):
            return use.total
        most = max(one.used.get(name, 0) for one in self._moments)
        wants = ceil(most * HEADROOM) + 1 if most else int(usage.hungry)
        return min(use.total, wants)

    def _quota(
        self, use: QuotaUse | None, scene: _Scene, wall: datetime
    ) -> tuple[HasQuota | None, Allowance]:
        """A few calls ahead of what is used, since what a dead replica holds is lost for the day.

        Everything counts whose day has not ended, whatever its end is called: the time of the
        reset may have been changed, or another's clock be slow.
        """
        if use is None:
            return None, NOTHING_ALLOWED
        gone = self._accounted_for(use)
        mine = use.used - gone
        held = [one.quota for one in scene.others.values() if one.quota is not None]
        others = sum(one.held for one in held if one.ends > wall)
        others += sum(one.number for one in scene.sheet.spent if one.ends > wall)
        others += in_day(scene.sheet.past, use)
        totals = [one.quota.total for one in scene.alive.values() if one.quota is not None]
        total = min([use.total, *totals])
        free = max(0, total - others - mine)
        step = min(free, max(1, min(self._step(total), free // (2 * len(scene.alive) + 2))))
        allowance = Allowance(use.ends, gone + mine + step, gone + mine + free, total)
        return HasQuota(use.ends, use.total, mine + step), allowance

    def _step(self, total: int) -> int:
        begun = sum(one.begun for one in self._moments)
        return max(1, min(int(total * _STEP), _LARGEST_STEP)) + ceil(begun / DEMAND_WINDOW * _AHEAD)

    def _accounted_for(self, use: QuotaUse) -> int:
        """How many of today's calls others have on record as those of one that is gone."""
        return self._gone[1] if self._gone is not None and self._gone[0] == use.ends else 0

    def _rejoin(self, sheet: LeaseLedger, use: QuotaUse) -> None:
        """Others took this replica for dead: what it had used is among what is spent."""
        spent = sum(one.number for one in sheet.spent if one.ends == use.ends)
        self._gone = (use.ends, min(use.used, spent))
        self._was_in = False


def _turn(
    name: str, fair: Mapping[str, int], wants: Mapping[str, int], sheet: LeaseLedger
) -> float:
    """How long the turn lasts, so that who gets nothing now gets some later; 0 for ever."""
    if all(fair[key] or not wants[key] for key in fair):
        return 0.0
    has_begun = all(one.held(name) for key, one in sheet.entries.items() if fair.get(key))
    return TURN if has_begun else LONGEST_TURN
