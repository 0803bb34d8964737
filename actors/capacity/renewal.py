"""Keeps this replica's share of every provider: exchanges by and by, for as long as it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from random import random
from typing import TYPE_CHECKING, Final

import trio

from carillon.actors.capacity.entitlement import WaitingAt, nobody
from carillon.actors.capacity.ledger import LeaseLedger, Pause, ledger_text, parse_ledger
from carillon.actors.capacity.negotiation import Exchange
from carillon.actors.capacity.share import Grant, Usage
from carillon.actors.provider.quota import utc_now
from carillon.messages.errors import TryLater
from carillon.stores.liveness import LEASE

if TYPE_CHECKING:
    from datetime import datetime

    from carillon.actors.provider.guard import Guard
    from carillon.stores.ports import CompareAndSetStore


AWAY: Final = 5.0
"""Seconds after which nobody has written on a board that somebody looks after; clocks may differ
by less."""


class PausesOnBoard:
    """The pauses of one provider, as one replica knows them; `news` is told of its own."""

    def __init__(self, me: Callable[[], str], guard: Guard, news: Callable[[], None]) -> None:
        self._me = me
        self._guard = guard
        self._news = news
        self._number = 0
        self._id = ""
        guard.on_pause(self._noted)

    def _noted(self) -> None:
        self._number += 1
        self._id = f"{self._me()}/{self._number}"
        self._news()

    def exchanged(self, sheet: LeaseLedger, wall: datetime) -> LeaseLedger:
        """Learn of a pause from a sheet; the sheet as it says what is known now."""
        found, now = sheet.pause, wall.timestamp()
        if found is not None and found.id != self._id:
            left = found.left - max(0.0, now - found.at - AWAY)
            if self._guard.pause_for(left):
                self._id = found.id
        left = self._guard.paused_until - trio.current_time()
        return replace(sheet, pause=Pause(self._id, left, now) if left > 0 else None)


SOON: Final = 0.25
"""Seconds between two exchanges at least, and half of what they are at most while calls start."""
IDLE: Final = 0.5
"""The same while nothing is used."""
AT_ONCE: Final = 0.05
"""Seconds between two exchanges when somebody waits for the second."""
CROWD: Final = 4
"""With more replicas than this each exchanges less often: all of them write one document."""
FAREWELL: Final = 2.0
"""Seconds for giving back what is held."""
_TRIES: Final = 5


class ShareRenewer:
    """The shares of all providers, one task each. Run it, and let it leave before it ends."""

    def __init__(
        self,
        board: CompareAndSetStore,
        replica_id: Callable[[], str],
        guards: Mapping[str, Guard],
        draw: Callable[[], float] = random,
        wall: Callable[[], datetime] = utc_now,
    ) -> None:
        """From now on the guards start nothing but on a share.

        No replica ever has a `replica_id` that another one had; it may change.
        """
        self._running = trio.CancelScope()
        self._ended: trio.Event | None = None
        self._keepers = [
            _Keeper(board, replica_id, name, guard, draw, wall) for name, guard in guards.items()
        ]

    async def run(
        self,
        waiting: WaitingAt = nobody,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Exchange for ever; started once there is a share of every provider.

        `waiting` says whose messages wait here for a provider; the others are told. While the
        board cannot be read or written, each share lasts until its lease ends.
        """
        self._ended = trio.Event()
        try:
            with self._running:
                async with trio.open_nursery() as nursery:
                    async with trio.open_nursery() as firsts:
                        for keeper in self._keepers:
                            firsts.start_soon(nursery.start, keeper.run, waiting)
                    task_status.started()
        finally:
            self._ended.set()

    async def leave(self) -> None:
        """Start nothing more, stop exchanging and give back what is not in use; `run` returns.

        When the board cannot be written, the others find out by themselves, in some seconds.
        """
        for keeper in self._keepers:
            keeper.end()
        self._running.cancel()
        if self._ended is not None:
            await self._ended.wait()
        with trio.move_on_after(FAREWELL):
            async with trio.open_nursery() as nursery:
                for keeper in self._keepers:
                    nursery.start_soon(keeper.leave)


class _Keeper:
    """The share of one provider."""

    def __init__(
        self,
        board: CompareAndSetStore,
        replica_id: Callable[[], str],
        name: str,
        guard: Guard,
        draw: Callable[[], float],
        wall: Callable[[], datetime],
    ) -> None:
        self._board = board
        self._name = name
        self._guard = guard
        self._draw = draw
        self._wall = wall
        self._replica_id = replica_id
        self._exchange = Exchange(replica_id())
        self._news = trio.Event()
        self._replicas = 1
        self._is_over = False
        self._pauses = PausesOnBoard(replica_id, guard, self._tell)
        guard.join(self._tell)

    def _tell(self) -> None:
        self._news.set()

    async def run(
        self,
        waiting: WaitingAt,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Exchange for ever."""
        propose = partial(self._propose, waiting)
        is_started = False
        while True:
            self._news = trio.Event()
            with suppress(TryLater):  # it is tried again, and a lease that ends stops the guard
                if await self._until_written(propose) and not is_started:
                    is_started = True
                    task_status.started()
            await trio.sleep(AT_ONCE)
            with trio.move_on_after(self._pause() - AT_ONCE):
                await self._news.wait()

    def end(self) -> None:
        """Start nothing more."""
        self._is_over = True
        self._guard.end_share()

    async def leave(self) -> None:
        """Give back what is not in use."""
        with suppress(TryLater):
            await self._until_written(self._farewell)

    def _pause(self) -> float:
        least = IDLE if self._exchange.is_idle else SOON * max(1.0, self._replicas / CROWD)
        return min(least, IDLE) * (1 + self._draw())

    async def _until_written(self, attempt: Callable[[], Awaitable[bool]]) -> bool:
        """Try again at once when another replica was quicker, but not for ever."""
        for _ in range(_TRIES):
            begun_at = trio.current_time()
            if await attempt():
                return True
            took = trio.current_time() - begun_at
            await trio.sleep(max(AT_ONCE, took) * self._draw())
        return False

    async def _propose(self, waiting: WaitingAt) -> bool:
        exchange, guard = self._exchange, self._guard
        begun_at = trio.current_time()
        version, text = await self._board.read(self._name)
        sheet, now = parse_ledger(text), trio.current_time()
        sheet = self._pauses.exchanged(sheet, self._wall())
        sheet = exchange.read(sheet, self._replica_id(), now)
        self._replicas = len(sheet.entries)
        usage = guard.usage()
        exchange.note(usage, now, waiting(self._name))
        proposal = exchange.propose(sheet, usage, now, self._wall())
        guard.take_share(_lower_of(usage, proposal.grant))
        # Nothing was awaited since the use was told: it is within what is about to be written.
        if not await self._board.swap(self._name, version, ledger_text(proposal.sheet)):
            return False
        exchange.written()
        if not self._is_over:
            guard.take_share(proposal.grant, until=begun_at + LEASE)
        return True

    async def _farewell(self) -> bool:
        exchange = self._exchange
        version, text = await self._board.read(self._name)
        sheet, now = parse_ledger(text), trio.current_time()
        sheet = self._pauses.exchanged(sheet, self._wall())
        sheet = exchange.read(sheet, self._replica_id(), now)
        left = exchange.release(sheet, self._guard.usage(), now, self._wall())
        return await self._board.swap(self._name, version, ledger_text(left))


def _lower_of(usage: Usage, grant: Grant) -> Grant:
    """What may be used while it is not known which of two shares is on the board."""
    pools = {
        name: replace(part, limit=min(part.limit, usage.pools[name].limit))
        for name, part in grant.pools.items()
    }
    quota = grant.quota
    if usage.quota is not None:
        quota = replace(quota, number=min(quota.number, usage.quota.allowed))
    return Grant(pools, quota)
