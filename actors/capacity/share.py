"""A replica's share of what a provider allows: what a guard may use, and what it tells of its use.

The guard obeys it and knows nothing of the other replicas; `negotiation.py` beside it cuts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from carillon.actors.provider.call_history import SETTLE_MOST
from carillon.actors.provider.lease import Lease
from carillon.actors.provider.quota import NOTHING_ALLOWED, Allowance
from carillon.actors.provider.rate_limit import Rate, RateLimit

if TYPE_CHECKING:
    from carillon.actors.provider.limits import Limits

DEMAND_WINDOW: Final = 1.5
"""Seconds for which somebody who was told to wait is taken to wait still.

More than a channel's tick: while a message waits, its scheduler asks at least that often.
"""
CONCURRENCY: Final = "concurrency"
"""The name of the calls that are open at once, among the pools that are shared."""
DRIFT: Final = 0.01
"""How much faster one machine's clock may run than another's: a hundred times what NTP mends."""


def pool_of(per: float) -> str:
    """The name of a rate's window, among the pools that are shared."""
    return repr(float(per))


@dataclass(frozen=True, slots=True)
class Part:
    """At most `limit` of a pool of `total`."""

    limit: int
    total: int

    def of(self, total: int) -> int:
        """What is left of it when an operator made the pool smaller: so much less in proportion.

        When every replica does so, their sum is within the new total before they have exchanged
        a word. More than was granted is nobody's before an exchange.
        """
        return self.limit if total >= self.total else self.limit * total // self.total


@dataclass(frozen=True, slots=True)
class Grant:
    """What one replica may use of each pool, and of the quota. Nothing of what is not named."""

    pools: Mapping[str, Part] = field(default_factory=dict)
    quota: Allowance = NOTHING_ALLOWED

    def of(self, pool: str, total: int) -> int:
        """How much of a pool with this total."""
        part = self.pools.get(pool)
        return 0 if part is None else part.of(total)


@dataclass(frozen=True, slots=True)
class Use:
    """One pool as a guard uses it.

    `total` is configured for all replicas, `limit` granted to this one, `used` counts now and grows
    above `limit` by no call, `most` was used at once lately. A call that started counts for `rest`
    seconds at most.
    """

    total: int
    limit: int
    used: int
    most: int
    rest: float


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """The quota as a guard uses it: `used` of it today, promised calls included.

    `allowed` of it may be, for all that is known here. Today `began` and `ends` then.
    """

    began: datetime
    ends: datetime
    total: int
    allowed: int
    used: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a guard tells: its pools by name, whether more would be used, how many calls began."""

    pools: Mapping[str, Use]
    quota: QuotaUse | None
    hungry: bool
    begun: int


class Share:
    """What is granted to a guard and until when; `news` is told when an exchange should be soon."""

    def __init__(self, news: Callable[[], None]) -> None:
        self.lease = Lease()
        self.grant = Grant()
        self.news = news
        self.most_open = 0
        self._asked_at = -inf
        self._begun = 0
        self._longest_call = 0.0

    def take(self, grant: Grant, until: float | None) -> bool:
        """Use this from now on, `until` then on trio's clock; tells whether anything is new.

        Without `until` the lease stays as it is. One that has ended is not extended: what was
        promised on it must not start.
        """
        is_new = grant != self.grant
        self.grant = grant
        if until is None:
            return is_new
        if self.lease.lasts:
            self.lease.ends = max(self.lease.ends, until)
            return is_new
        self.lease = Lease(until)
        return True

    def end(self) -> None:
        """Nothing starts on it any more."""
        self.lease.ends = -inf
        self.grant = Grant()

    def wanted(self, now: float) -> None:
        """Somebody was told to wait for what the share does not allow."""
        was_fed, self._asked_at = now - self._asked_at >= DEMAND_WINDOW, now
        if was_fed:
            self.news()

    def concurrency(self, limits: Limits) -> int:
        """How many calls may be open at once."""
        self._longest_call = max(self._longest_call, limits.timeout)
        return self.grant.of(CONCURRENCY, limits.concurrency)

    def rates(self, limits: Limits) -> Sequence[Rate]:
        """How many calls may start in each window."""
        return [Rate(self.grant.of(pool_of(per), most), per) for per, most in _totals(limits)]

    def usage(self, limits: Limits, rate: RateLimit, in_flight: int) -> Usage:
        """What is used. `most` of the usage starts anew."""
        now, calls = trio.current_time(), rate.starts
        begun, self._begun = calls.count - self._begun, calls.count
        open_calls = Use(
            limits.concurrency,
            self.grant.of(CONCURRENCY, limits.concurrency),
            in_flight,
            max(in_flight, self.most_open),
            # A call that was promised on the lease starts on it, and is cut off after its timeout.
            self._longest_call + 0.5,
        )
        self.most_open = in_flight
        pools = {CONCURRENCY: open_calls}
        for (per, total), used in zip(_totals(limits), rate.most_used(), strict=True):
            limit = self.grant.of(pool_of(per), total)
            # A short window has passed before anybody looks: then what began tells more.
            most = max(used, min(limit, begun))
            pools[pool_of(per)] = Use(total, limit, used, most, per + 2 * SETTLE_MOST)
        quota = rate.quota
        return Usage(
            pools,
            None
            if quota is None
            else QuotaUse(quota.began, quota.ends, quota.total, quota.allowed, quota.used),
            hungry=now - self._asked_at < DEMAND_WINDOW,
            begun=begun,
        )


def _totals(limits: Limits) -> Sequence[tuple[float, int]]:
    """Each window once, in the order of the rates, with the least that is allowed in it."""
    totals: dict[float, int] = {}
    for rate in limits.rates:
        totals[rate.per] = min(rate.limit, totals.get(rate.per, rate.limit))
    return list(totals.items())
