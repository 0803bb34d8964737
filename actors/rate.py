"""Exact rate limits as the provider sees them: at most N calls arrive in any window of W seconds.

A ring of the last N starts would be exact for a network without delay. Over a real one a call
arrives somewhere between its start and its answer, so a start frees its slot only one window
after the *answer*, counted at most `SETTLE` after the start: without that bound a slow provider
would be used at a fraction of its rate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import trio

from actors.quota import DailyQuota

SETTLE_SHARE: Final = 0.04  # of the window
SETTLE_MOST: Final = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `limit` calls in any `per` seconds."""

    limit: int
    per: float


class Window:
    """One rate and the starts that still count in it.

    `reserved` slots are promised to calls whose first byte has not left yet. The n-th promise may
    be given once the n-N-th start is free, whichever call it was: promises and starts are counted,
    not paired, so calls may overtake each other on the way to their connection.
    """

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.settle = min(rate.per * SETTLE_SHARE, SETTLE_MOST)
        self.reserved = 0
        self._free_at: deque[list[float]] = deque(maxlen=rate.limit)

    def opens_at(self) -> float | None:
        """When the next slot may be promised; None while that depends on promised ones."""
        oldest = self.rate.limit - self.reserved
        if oldest <= 0:
            return None
        if len(self._free_at) < oldest:
            return float("-inf")
        return self._free_at[-oldest][0]

    def start(self, now: float) -> list[float]:
        """A promised call's first byte leaves; gives the cell that holds when it is free again."""
        self.reserved -= 1
        cell = [now + self.settle + self.rate.per]
        self._free_at.append(cell)
        return cell

    def answered(self, cell: list[float], now: float) -> None:
        """The call of that cell is over: it is free one window from now at the latest."""
        cell[0] = min(cell[0], now + self.rate.per)


class Slot:
    """One call's place in every window of a provider."""

    __slots__ = ("_cells", "_limit")

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._cells: list[list[float]] | None = None

    def start(self) -> None:
        """Stamp it: the first byte leaves now. Never waits."""
        now = trio.current_time()
        self._cells = [window.start(now) for window in self._limit.windows]
        self._limit.changed()

    def end(self) -> None:
        """The call is over: an answer frees the slot earlier, a call that never started at once."""
        if self._cells is None:
            for window in self._limit.windows:
                window.reserved -= 1
        else:
            now = trio.current_time()
            for window, cell in zip(self._limit.windows, self._cells, strict=True):
                window.answered(cell, now)
        self._limit.changed()


class RateLimit:
    """All windows of one provider, and its quota; waiting is first come, first served."""

    def __init__(self, rates: Sequence[Rate], quota: DailyQuota | None = None) -> None:
        self.windows: list[Window | DailyQuota] = [Window(rate) for rate in rates]
        if quota is not None:
            self.windows.append(quota)
        self._turnstile = trio.Lock()
        self._news = trio.Event()

    async def reserve(self) -> Slot:
        """Wait for a place in every window. The caller must `end` the slot, come what may."""
        if self.windows:
            async with self._turnstile:
                await self._until_open()
                for window in self.windows:
                    window.reserved += 1
        return Slot(self)

    async def _until_open(self) -> None:
        while True:
            times = [window.opens_at() for window in self.windows]
            opens = max((at for at in times if at is not None), default=0.0)
            if None not in times and opens <= trio.current_time():
                return
            # A known time is an upper bound: an answer may free the slot earlier.
            with trio.move_on_at(float("inf") if None in times else opens):
                await self._news.wait()

    def changed(self) -> None:
        """Wake whoever waits for a slot that has just become known or free."""
        if self.windows:
            self._news.set()
            self._news = trio.Event()
