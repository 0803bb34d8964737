"""What was measured, run by run, and what is said of several runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from bench.costs import Cost
from bench.load import Load
from bench.machine import Machine


@dataclass(frozen=True, slots=True)
class FanOut:
    """One contender sent a message each to so many users."""

    contender: str
    users: int
    turn: int
    cost: Cost
    others_cores: float

    @property
    def per_second(self) -> float:
        """Messages a second."""
        return self.users / self.cost.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a message."""
        return self.cost.cpu_seconds / self.users * 1e6


@dataclass(frozen=True, slots=True)
class Small:
    """One contender answered small requests of so many callers."""

    contender: str
    callers: int
    turn: int
    load: Load
    server_cpu_seconds: float
    others_cores: float

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.load.requests / self.load.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of the server's CPU a request."""
        return self.server_cpu_seconds / self.load.requests * 1e6


@dataclass(frozen=True, slots=True)
class Station:
    """What one part of the way of a message took; `modules` are its dearest, with their share."""

    name: str
    cpu_us: float
    modules: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the CPU of one message goes. The stations sum up to `cpu_us`."""

    work: str
    messages: int
    cpu_us: float
    per_second: float
    stations: Sequence[Station]


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that one call of the bench measured."""

    machine: Machine
    fan_out: Sequence[FanOut] = ()
    small: Sequence[Small] = ()
    profiles: Sequence[Profile] = ()


Run = TypeVar("Run", FanOut, Small)


def middle(runs: Sequence[Run], figure: Callable[[Run], float]) -> float:
    """The median of a figure over several runs."""
    return median(figure(run) for run in runs)


def ratio(runs: Sequence[Run], others: Sequence[Run]) -> float:
    """How many times as fast as others: each turn by itself, then the median of the turns."""
    by_turn = {other.turn: other.per_second for other in others}
    return median(run.per_second / by_turn[run.turn] for run in runs)
