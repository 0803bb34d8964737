"""Several replicas at one provider, under chance: no limit is ever broken, and little is wasted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Final, Literal

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from carillon.actors.provider.limits import Limits
from carillon.actors.provider.rate_limit import Rate
from tests.actors.capacity.boards import Board, Faults, Meter, Replica, Traffic
from tests.properties import examples, is_nightly

NAMES: Final = ("a", "b", "c", "d")
CALM_FROM: Final = 25.0
"""Seconds after which nothing goes wrong any more."""
LONGEST_PAUSE: Final = 12.0
ENDS_AT: Final = CALM_FROM + LONGEST_PAUSE + 60.0
TIMEOUT: Final = 2.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """What befalls a replica, or the store, for so many seconds."""

    at: float
    kind: Literal["kill", "leave", "pause", "cut", "away", "change", "anew"]
    replica: int
    seconds: float
    limits: tuple[int, ...]
    apart: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One world and its story."""

    seed: int
    concurrency: int
    rates: tuple[Rate, ...]
    joins: Sequence[float]
    traffic: Sequence[Traffic]
    faults: Faults
    troubles: Sequence[Trouble]


traffic = st.builds(
    Traffic,
    workers=st.integers(1, 8),
    connect=st.sampled_from([(0.0, 0.05), (0.0, 0.05), (0.0, 0.9)]),
    answer=st.sampled_from([(0.05, 0.2), (0.05, 0.2), (0.1, 1.9)]),
    busy=st.sampled_from([((0.0, inf),), ((3.0, 9.0), (12.0, inf)), ((18.0, inf),)]),
)
troubles = st.builds(
    Trouble,
    at=st.floats(0, CALM_FROM),
    kind=st.sampled_from(["kill", "leave", "pause", "cut", "away", "change", "anew"]),
    replica=st.integers(0, len(NAMES) - 1),
    seconds=st.floats(0.1, LONGEST_PAUSE) | st.floats(2.0, 4.5),  # about when a lease ends
    limits=st.tuples(*[st.integers(1, 9)] * 4),
    apart=st.tuples(*[st.floats(0, 0.9)] * len(NAMES)),
)
worlds = st.builds(
    Example,
    seed=st.integers(0, 2**32),
    concurrency=st.integers(1, 8),
    rates=st.lists(
        st.builds(Rate, st.integers(1, 8), st.sampled_from([0.3, 1.0, 2.5])),
        max_size=3,
        unique_by=lambda rate: rate.per,
    ).map(tuple),
    joins=st.lists(st.sampled_from([0.0, 0.0, 4.0, 11.0]), min_size=4, max_size=4),
    traffic=st.lists(traffic, min_size=2, max_size=4),
    faults=st.builds(
        Faults,
        lost=st.sampled_from([0.0, 0.0, 0.05]),
        late=st.sampled_from([0.0, 0.1]),
        latency=st.sampled_from([0.002, 0.05, 0.2]),
    ),
    troubles=st.lists(troubles, max_size=6),
)


class World:
    """The replicas of an example, and what their provider has seen."""

    def __init__(self, example: Example) -> None:
        self.example = example
        self.meter = Meter(spread=1.0 + 0.9)  # a change comes to the last, whose call connects
        self.board = Board()
        self.replicas: list[Replica] = []
        self.gone: set[int] = set()
        self._limits = Limits(example.concurrency, example.rates, timeout=TIMEOUT)

    async def run(self) -> None:
        self.meter.allow(self._limits)
        example = self.example
        async with trio.open_nursery() as nursery:
            for name, traffic in zip(NAMES, example.traffic, strict=False):
                self.replicas.append(
                    Replica(
                        name,
                        self.board,
                        self.meter,
                        nursery,
                        self._limits,
                        traffic,
                        replace(example.faults),
                        example.seed,
                    )
                )
            for replica, joins in zip(self.replicas, example.joins, strict=False):
                nursery.start_soon(self._join, replica, joins)
            for trouble in example.troubles:
                nursery.start_soon(self._suffer, trouble)
            await trio.sleep_until(CALM_FROM + LONGEST_PAUSE)
            for replica in self.replicas:
                replica.faults.lost = replica.faults.late = 0.0
            await trio.sleep_until(ENDS_AT)
            nursery.cancel_scope.cancel()

    async def _join(self, replica: Replica, at: float) -> None:
        await trio.sleep(at)
        await replica.run()

    async def _suffer(self, trouble: Trouble) -> None:
        await trio.sleep(trouble.at)
        number = trouble.replica % len(self.replicas)
        replica = self.replicas[number]
        match trouble.kind:
            case "kill":
                self.gone.add(number)
                replica.kill()
            case "leave":
                self.gone.add(number)
                await replica.leave()
            case "pause":
                replica.pause()
                await trio.sleep(trouble.seconds)
                replica.wake()
            case "anew":
                replica.join_anew()
            case "cut":
                replica.faults.lost, before = 1.0, replica.faults.lost
                await trio.sleep(trouble.seconds)
                replica.faults.lost = before
            case "away":
                self.board.is_away = True
                await trio.sleep(trouble.seconds)
                self.board.is_away = False
            case "change":
                await self._change(trouble)

    async def _change(self, trouble: Trouble) -> None:
        rates = tuple(
            Rate(limit, rate.per)
            for limit, rate in zip(trouble.limits, self.example.rates, strict=False)
        )
        self._limits = limits = Limits(trouble.limits[-1], rates, timeout=TIMEOUT)
        self.meter.allow(limits)
        for replica, apart in zip(self.replicas, trouble.apart, strict=False):
            await trio.sleep(apart / len(NAMES))
            if self._limits is limits:
                replica.guard.apply(limits)

    def check(self) -> None:
        assert self.meter.wrong == []
        for number, replica in enumerate(self.replicas):
            if number not in self.gone:
                lately = [at for at in replica.starts if at > CALM_FROM + LONGEST_PAUSE]
                assert lately, f"{replica.name} starves"


@pytest.mark.slow
@given(example=worlds)
@settings(
    max_examples=examples(20),
    derandomize=not is_nightly(),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_no_limit_is_broken_and_nobody_starves(example: Example) -> None:
    async def main() -> World:
        world = World(example)
        await world.run()
        return world

    trio.run(main, clock=MockClock(autojump_threshold=0)).check()


sleeps = st.builds(
    Trouble,
    at=st.floats(2, CALM_FROM),
    kind=st.sampled_from(["pause", "pause", "cut", "kill", "anew"]),
    replica=st.integers(0, 2),
    seconds=st.floats(1.5, 7.0),
    limits=st.just((1, 1, 1, 1)),
    apart=st.just((0.0, 0.0, 0.0, 0.0)),
)
sleepers = st.builds(
    Example,
    seed=st.integers(0, 2**32),
    concurrency=st.integers(4, 12),
    rates=st.sampled_from([(), (Rate(6, 0.3),), (Rate(9, 1.0),)]),
    joins=st.just([0.0] * 4),
    traffic=st.sampled_from([((0.0, 1.0), (0.1, 1.9)), ((0.0, 0.05), (1.8, 1.9))]).map(
        lambda times: [Traffic(workers=12, connect=times[0], answer=times[1])] * 3
    ),
    faults=st.builds(Faults),
    troubles=st.lists(sleeps, min_size=3, max_size=8),
)


@pytest.mark.slow
@given(example=sleepers)
@settings(
    max_examples=examples(12),
    derandomize=not is_nightly(),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_who_sleeps_or_is_cut_off_starts_nothing_on_what_others_have(example: Example) -> None:
    async def main() -> World:
        world = World(example)
        await world.run()
        return world

    trio.run(main, clock=MockClock(autojump_threshold=0)).check()


# What is used while nothing goes wrong


def used_by(traffic: Sequence[Traffic], limits: Limits, seconds: float) -> list[Replica]:
    meter, board, replicas = Meter(), Board(), list[Replica]()

    async def main() -> None:
        meter.allow(limits)
        async with trio.open_nursery() as world:
            for name, one in zip(NAMES, traffic, strict=False):
                replicas.append(Replica(name, board, meter, world, limits, one))
                world.start_soon(replicas[-1].run)
            await trio.sleep(seconds)
            world.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert meter.wrong == []
    return replicas


def starts(replicas: Sequence[Replica], begin: float, end: float) -> int:
    return sum(begin <= at < end for replica in replicas for at in replica.starts)


FAST: Final = Limits(concurrency=30, rates=(Rate(500, 1.0),), timeout=5.0)


@pytest.mark.slow
def test_three_busy_replicas_use_a_rate() -> None:
    replicas = used_by([Traffic(workers=15)] * 3, FAST, 15)
    assert starts(replicas, 5, 15) >= 0.95 * 500 * 10
    for replica in replicas:
        assert starts([replica], 5, 15) >= 0.3 * 500 * 10


@pytest.mark.slow
def test_a_lone_one_among_idle_ones_has_nearly_everything() -> None:
    idle = Traffic(workers=1, busy=())
    replicas = used_by([Traffic(workers=35), idle, idle], FAST, 7)
    assert starts(replicas, 2, 7) >= 0.93 * 500 * 5


@pytest.mark.slow
def test_what_one_cannot_use_the_others_do() -> None:
    slow = Traffic(workers=2, answer=(0.05, 0.1))
    replicas = used_by([Traffic(workers=25), Traffic(workers=25), slow], FAST, 10)
    assert starts(replicas, 3, 10) >= 0.93 * 500 * 7


@pytest.mark.slow
def test_the_smallest_limits_go_round() -> None:
    limits = Limits(concurrency=1, rates=(Rate(1, 1.0),), timeout=5.0)
    replicas = used_by([Traffic(workers=2)] * 3, limits, 60)
    assert starts(replicas, 0, 60) >= 45
    for replica in replicas:
        gaps = zip([0.0, *replica.starts], [*replica.starts, 60.0], strict=True)
        assert max(end - begin for begin, end in gaps) < 20
