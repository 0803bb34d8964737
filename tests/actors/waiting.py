"""Waits for a rate limit as a caller does: until it opens, or until there is news."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import trio

from carillon.actors.provider.quota import Quota, utc_now
from carillon.actors.provider.rate_limit import Rate, RateLimit, Slot


class Waiting:
    """A limit with somebody who waits for it, and the times at which its calls started."""

    def __init__(
        self,
        rates: Sequence[Rate],
        quota: Quota | None = None,
        wall: Callable[[], datetime] = utc_now,
    ) -> None:
        self.limit = RateLimit(rates, quota, self._changed, wall)
        self.starts: list[float] = []
        self.changes = 0
        self._news = trio.Event()
        self._turn = trio.Lock()

    async def reserve(self) -> Slot:
        """First come, first served."""
        async with self._turn:
            while (opens_at := self.limit.opens_at()) > trio.current_time():
                with trio.move_on_at(opens_at):
                    await self._news.wait()
            return self.limit.reserve()

    async def call(self, connect: float = 0.0, answer: float = 0.0) -> None:
        """One call from promise to answer; seconds to its start, and from there to its answer."""
        slot = await self.reserve()
        try:
            await trio.sleep(connect)
            slot.start()
            self.starts.append(trio.current_time())
            await trio.sleep(answer)
        finally:
            slot.end()

    async def calls(self, number: int, connect: float = 0.0, answer: float = 0.0) -> None:
        """So many at the same time."""
        async with trio.open_nursery() as nursery:
            for _ in range(number):
                nursery.start_soon(self.call, connect, answer)

    def _changed(self) -> None:
        self.changes += 1
        self._news.set()
        self._news = trio.Event()
