"""What the journal is asked for beside the deliveries: past calls at the start, old rows later."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import trio

from actors.guard import Guard
from actors.limits import Limits
from messages.errors import JournalUnavailable
from messages.records import PastCalls

_A_DAY: Final = 25 * 3600.0  # of a clock that may be set back in autumn
_RECENT: Final = 60.0
_LEAST: Final = 1000
"""So many calls of the last minute are remembered though no limit asks: one may be set."""

PAUSE: Final = 60.0
"""Seconds between two looks for rows that are old enough."""
BREATH: Final = 0.02
"""Seconds between two parts of what is erased."""


async def remember_calls(guards: Iterable[Guard], calls: PastCalls) -> None:
    """Let the windows and quotas count what an earlier process has sent.

    Raises:
        JournalUnavailable: it cannot be read.
    """
    for guard in guards:
        now, wall = trio.current_time(), time.time()
        span, most = _memory(guard.limits)
        starts = await calls.starts(guard.name, round((wall - span) * 1000), most)
        guard.remember([min(now, now - (wall - at / 1000)) for at in starts])


def _memory(limits: Limits) -> tuple[float, int]:
    """For how long calls count, in seconds, and how many of them at most."""
    span = max((rate.per for rate in limits.rates), default=_RECENT)
    most = max((rate.limit for rate in limits.rates), default=_LEAST)
    if limits.quota is not None:
        span, most = max(span, _A_DAY), max(most, limits.quota.limit)
    return span, max(most, _LEAST)


async def retire_for_ever(retire: Callable[[int], Awaitable[bool]], retention: float) -> None:
    """Erase what ended longer ago than `retention` seconds, a little at a time."""
    while True:
        try:
            before = round((time.time() - retention) * 1000)
            pause = BREATH if await retire(before) else PAUSE
        except JournalUnavailable:
            pause = PAUSE
        await trio.sleep(pause)
