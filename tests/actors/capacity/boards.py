"""A board of shares without a store, the lines to it that break, and the replicas that use it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import inf
from random import Random
from typing import Final

import trio

from carillon.actors.capacity.entitlement import NOBODY, Waiting
from carillon.actors.capacity.ledger import LeaseLedger, parse_ledger
from carillon.actors.capacity.renewal import ShareRenewer
from carillon.actors.provider.guard import Guard
from carillon.actors.provider.lease import ShareEnded
from carillon.actors.provider.limits import Limits
from carillon.messages.errors import JournalUnavailable
from tests.actors.fakes import Script, ignore

PROVIDER: Final = "p"
ULP: Final = 1e-9
NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)


def wall() -> datetime:
    return NOON + timedelta(seconds=trio.current_time())


class Board:
    """What the store keeps. While it `is_away` nobody gets an answer."""

    def __init__(self) -> None:
        self.is_away = False
        self.swaps = 0
        self._texts: dict[str, tuple[str, str]] = {}

    def read(self, provider: str) -> tuple[str, str]:
        return self._texts.get(provider, ("", ""))

    def swap(self, provider: str, version: str, text: str) -> bool:
        if self.read(provider)[0] != version:
            return False
        self.swaps += 1
        self._texts[provider] = (str(self.swaps), text)
        return True

    def sheet(self, provider: str = PROVIDER) -> LeaseLedger:
        return parse_ledger(self.read(provider)[1])


@dataclass
class Faults:
    """How often, of 1, a request or an answer is lost, or a write comes `late` seconds later."""

    lost: float = 0.0
    late: float = 0.0
    latency: float = 0.005


class Line:
    """One replica's connection to the board; implements `ShareBoard`."""

    def __init__(
        self,
        board: Board,
        nursery: trio.Nursery,
        chance: Random,
        faults: Faults,
        gate: Callable[[], object],
    ) -> None:
        self._board = board
        self._nursery = nursery
        self._chance = chance
        self._faults = faults
        self._gate = gate

    async def read(self, provider: str) -> tuple[str, str]:
        await self._travel()
        found = self._board.read(provider)
        await self._travel()
        return found

    async def swap(self, provider: str, version: str, text: str) -> bool:
        await self._travel()
        if self._chance.random() < self._faults.late:
            self._nursery.start_soon(self._later, provider, version, text)
            raise JournalUnavailable("no answer in time")
        done = self._board.swap(provider, version, text)
        await self._travel()
        return done

    async def _later(self, provider: str, version: str, text: str) -> None:
        await trio.sleep(self._chance.uniform(0, 5))
        self._board.swap(provider, version, text)

    async def _travel(self) -> None:
        await trio.sleep(self._chance.uniform(0.2, 1.0) * self._faults.latency)
        if self._board.is_away or self._chance.random() < self._faults.lost:
            await trio.sleep(self._chance.uniform(0, 1.5))
            raise JournalUnavailable("no answer in time")
        waiting = self._gate()
        if isinstance(waiting, trio.Event):
            await waiting.wait()


@dataclass
class Meter:
    """The provider: what comes from all replicas together, against what is allowed."""

    starts: list[float] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    wrong: list[str] = field(default_factory=list)
    allowed: list[tuple[float, Limits]] = field(default_factory=list)
    spread: float = 1.0

    def allow(self, limits: Limits) -> None:
        self.allowed.append((trio.current_time(), limits))

    def begin(self) -> None:
        now = trio.current_time()
        self.starts.append(now)
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        most = max(one.concurrency for one in self._since(now - self._longest()))
        if self.open > most:
            self.wrong.append(f"{now:.3f}: {self.open} calls open of {most}")
        for index, rate in enumerate(self.allowed[-1][1].rates):
            limit = max(one.rates[index].limit for one in self._since(now - rate.per))
            inside = self.inside(now, rate.per)
            if inside > limit:
                self.wrong.append(f"{now:.3f}: {inside} calls in {rate.per} s, of {limit}")

    def end(self) -> None:
        self.open -= 1

    def inside(self, now: float, per: float) -> int:
        number = 0
        for at in reversed(self.starts):
            if at <= now - per + ULP:
                break
            number += 1
        return number

    def _longest(self) -> float:
        return max(one.timeout for _, one in self.allowed)

    def _since(self, time: float) -> Sequence[Limits]:
        """What was allowed at some time from then on, and while a change was spreading."""
        ends = [*[at for at, _ in self.allowed[1:]], inf]
        return [
            one
            for (_, one), end in zip(self.allowed, ends, strict=True)
            if end + self.spread >= time
        ]


@dataclass(frozen=True)
class Traffic:
    """How many workers are busy when, and how long a call takes to its start and to its answer."""

    workers: int = 10
    connect: tuple[float, float] = (0.0, 0.005)
    answer: tuple[float, float] = (0.02, 0.05)
    busy: tuple[tuple[float, float], ...] = ((0.0, inf),)

    def wants(self, now: float) -> bool:
        return any(begin <= now < end for begin, end in self.busy)


class Replica:
    """A guard, its keeper and workers that use it as workers do; it may be paused and killed."""

    def __init__(
        self,
        name: str,
        board: Board,
        meter: Meter,
        world: trio.Nursery,
        limits: Limits,
        traffic: Traffic | None = None,
        faults: Faults | None = None,
        seed: int = 0,
        waiting: Waiting = NOBODY,
    ) -> None:
        self.name = self.id = name
        self.waiting = waiting
        self.lives = 1
        self.starts: list[float] = []
        self.prevented = 0
        self._chance = Random(f"{seed} {name}")
        self._meter = meter
        self._world = world
        self._traffic = traffic or Traffic()
        self._paused: trio.Event | None = None
        self._life = trio.CancelScope()
        self._news = trio.Event()
        self.guard = Guard(PROVIDER, Script(), limits, ignore, wall=wall)
        self.guard.listen(self._tell)
        self.faults = faults or Faults()
        line = Line(board, world, self._chance, self.faults, lambda: self._paused)
        draw = self._chance.random
        guards = {PROVIDER: self.guard}
        self.keeper = ShareRenewer(line, lambda: self.id, guards, draw=draw, wall=wall)

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def run(self) -> None:
        with self._life:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.keeper.run, lambda _: self.waiting)
                for _ in range(self._traffic.workers):
                    nursery.start_soon(self._work)

    def kill(self) -> None:
        self._life.cancel()

    async def leave(self) -> None:
        """Stop in peace."""
        await self.keeper.leave()
        self.kill()

    def join_anew(self) -> None:
        """Go on under an id that nobody had, as one that was taken for dead."""
        self.lives += 1
        self.id = f"{self.name}{self.lives}"

    def pause(self) -> None:
        if self._paused is None:
            self._paused = trio.Event()

    def wake(self) -> None:
        if self._paused is not None:
            self._paused.set()
            self._paused = None

    async def _gate(self) -> None:
        while self._paused is not None:
            await self._paused.wait()

    async def _work(self) -> None:
        while True:
            await self._gate()
            now = trio.current_time()
            if not self._traffic.wants(now):
                await trio.sleep(0.1)
            elif (opens_at := self.guard.opens_at(now)) > now:
                with trio.move_on_at(min(opens_at, now + 1.0)):
                    await self._news.wait()
            else:
                await self._call()

    async def _call(self) -> None:
        permit = self.guard.permit(None)
        try:
            await trio.sleep(self._chance.uniform(*self._traffic.connect))
            await self._gate()
            try:
                permit.slot.start()
            except ShareEnded:
                self.prevented += 1
                return
            self.starts.append(trio.current_time())
            answered = trio.Event()
            self._world.start_soon(self._serve, answered)
            await answered.wait()
            permit.answered = True
            await self._gate()
        finally:
            self.guard.release(permit)

    async def _serve(self, answered: trio.Event) -> None:
        """The provider's side goes on whatever becomes of the replica."""
        self._meter.begin()
        await trio.sleep(self._chance.uniform(*self._traffic.answer))
        self._meter.end()
        answered.set()
