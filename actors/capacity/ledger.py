"""What stands on the board of one provider: which replica holds how much of each limit.

The rule that everything rests on: of each pool the entries hold no more than its total together,
and no replica uses more than its entry holds. It is broken only by an operator who makes a pool
smaller; then nobody may have more until it is kept again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter, ValidationError

from carillon.actors.capacity.entitlement import Waiting
from carillon.messages.errors import JournalUnavailable


@dataclass(frozen=True, slots=True)
class Has:
    """What a replica holds of one pool: it may use it, or calls that it made still count.

    `total` is the pool as the replica knows it, `wants` what it would use. What is held is free
    `rest` seconds after the replica's last call.
    """

    total: int
    held: int
    wants: int
    rest: float


@dataclass(frozen=True, slots=True)
class HasQuota:
    """What a replica may use of a quota of `total` calls until it `ends`, or has used."""

    ends: datetime
    total: int
    held: int


@dataclass(frozen=True, slots=True)
class ReplicaLease:
    """What one replica says of itself.

    `beat` changes with each exchange, which was `at` so many seconds since 1970. One that `left`
    has ended its lease before it said so; `quota` is None where there is none. Messages of those
    in `waiting` wait there.
    """

    beat: int
    at: float
    pools: Mapping[str, Has]
    quota: HasQuota | None = None
    left: bool = False
    waiting: Waiting = field(default_factory=dict)

    def held(self, pool: str) -> int:
        """How much it holds of a pool."""
        return self.pools[pool].held if pool in self.pools else 0

    def wants(self, pool: str) -> int:
        """How much it would use of a pool."""
        return self.pools[pool].wants if pool in self.pools else 0


@dataclass(frozen=True, slots=True)
class Spent:
    """`number` calls of the quota that `ends` then, by replicas that are gone."""

    ends: datetime
    number: int


@dataclass(frozen=True, slots=True)
class Past:
    """`number` calls that were open `at` so many seconds since 1970, before there was a board."""

    at: float
    number: int


@dataclass(frozen=True, slots=True)
class Pause:
    """The provider has asked not to be called: `left` seconds when this was written `at` a time.

    Its `id` is that of the answer in which it did: whoever knows it does not begin anew.
    """

    id: str
    left: float
    at: float


@dataclass(frozen=True, slots=True)
class LeaseLedger:
    """The entries of one provider by their replica, and the `turn` of those who get none."""

    entries: Mapping[str, ReplicaLease] = field(default_factory=dict)
    turn: int = 0
    spent: tuple[Spent, ...] = ()
    pause: Pause | None = None
    past: tuple[Past, ...] = ()


_SHEET: Final = TypeAdapter(LeaseLedger)


def parse_ledger(text: str) -> LeaseLedger:
    """What a board holds; "" when nobody has written on it yet.

    Raises:
        JournalUnavailable: it is none of ours, so nobody knows what is free.
    """
    if not text:
        return LeaseLedger()
    try:
        return _SHEET.validate_json(text)
    except ValidationError:
        raise JournalUnavailable("The board of shares holds what is none of ours") from None


def ledger_text(sheet: LeaseLedger) -> str:
    """The sheet as a board keeps it."""
    return _SHEET.dump_json(sheet).decode()


PLENTY: Final = 10
"""From so many calls for each on, one of them is kept for everybody who wants none now."""


def divide(
    total: int, wants: Mapping[str, int], turn: int, parts: Mapping[str, int] | None = None
) -> Mapping[str, int]:
    """So much for each; the whole of `total` together, where there is anybody.

    Whoever wants more than there is gets it in proportion to its part; without `parts` all are
    equal. Calls that do not divide go to the first of those who want them, which is another one
    with each `turn`. Every replica that sees the same wants comes to the same result.
    """
    order = _rotated(sorted(wants), turn)
    parts = dict.fromkeys(order, 1) if parts is None else parts
    least = 1 if total >= PLENTY * len(order) else 0
    asked = {name: max(wants[name], least) for name in order}
    given = dict.fromkeys(order, 0)
    left = max(0, total)
    left = _fill(given, left, asked, parts)
    _fill(given, left, dict.fromkeys(order, total), parts)
    return given


def _fill(
    given: dict[str, int], left: int, most: Mapping[str, int], parts: Mapping[str, int]
) -> int:
    """Give everybody as much as its part is, up to the `most` of each; what is left over."""
    open_ones = [name for name in given if given[name] < most[name]]
    while left and open_ones:
        now, all_parts = left, sum(parts[name] for name in open_ones)
        for name in open_ones:
            fair = max(1, now * parts[name] // all_parts)
            more = min(fair, most[name] - given[name], left)
            given[name] += more
            left -= more
        open_ones = [name for name in open_ones if given[name] < most[name]]
    return left


def _rotated(names: Sequence[str], turn: int) -> Sequence[str]:
    first = turn % len(names) if names else 0
    return [*names[first:], *names[:first]]
