"""Calls that were made before a store was shared: they count for all replicas together.

An embedded store that moves to a MongoDB takes along when calls to each provider were made. They
stand on the provider's board, no replica's own, until no window and no quota counts them any more.
Only wall clocks tell how old they are, which may differ by `SKEW`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from carillon.actors.capacity.ledger import Past
from carillon.actors.capacity.liveness import LONGEST_DAY, SKEW

if TYPE_CHECKING:
    from datetime import datetime

    from carillon.actors.capacity.share import QuotaUse, Usage

_LEAST: Final = 1_000
"""Milliseconds by which moments are rounded at least."""
_PART: Final = 16
"""Of its age a call is dated later by one part in so many at most: a board must stay short."""
_QUARTER: Final = 900_000
"""Milliseconds. Most quotas begin anew at a quarter of an hour; nothing is dated across one."""


def condensed(calls: Iterable[tuple[int, int]], now: int) -> tuple[Past, ...]:
    """When calls were last open and how many at each, in milliseconds since 1970, for a board.

    They are dated later by some of their age, and never into another quarter of an hour.
    """
    found = Counter[int]()
    for told, number in calls:
        at = min(told, now)
        # Doubled again and again, so that calls of about one age share their moments.
        step = _LEAST << max(0, ((now - at) // (_PART * _LEAST)).bit_length() - 1)
        later = (at // step + 1) * step - 1
        found[min(later, (at // _QUARTER + 1) * _QUARTER - 1)] += number
    return tuple(Past(at / 1000, number) for at, number in sorted(found.items()))


def still_counting(past: Iterable[Past], usage: Usage, wall: datetime) -> tuple[Past, ...]:
    """Those that some limit may count, also one that is set later; none in the future.

    What is dated there was dated by a clock that was wrong: it counts from now on.
    """
    span = max([LONGEST_DAY.total_seconds(), *(use.rest for use in usage.pools.values())])
    now = wall.timestamp()
    kept = [one for one in past if one.at > now - span - SKEW]
    return tuple(one if one.at <= now + SKEW else Past(now, one.number) for one in kept)


def in_window(past: Iterable[Past], rest: float, wall: datetime) -> int:
    """How many may count in a window, in which a call counts for `rest` seconds."""
    since = wall.timestamp() - rest - SKEW
    return sum(one.number for one in past if one.at >= since)


def in_day(past: Iterable[Past], use: QuotaUse) -> int:
    """How many may count of a quota."""
    since = use.began.timestamp() - SKEW
    return sum(one.number for one in past if one.at >= since)
