"""The whole engine under chance: every limit holds, every delivery ends once, nothing is wasted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from math import inf
from random import Random
from typing import Final, Literal

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from carillon.actors.channel import ChannelSpec
from carillon.actors.provider.breaker import BreakerSettings
from carillon.actors.provider.guard import Guard
from carillon.actors.provider.limits import Limits, Retry
from carillon.actors.provider.quota import Quota
from carillon.actors.provider.rate_limit import Rate
from carillon.actors.router import Choice, Route
from carillon.http_client.ports import Started
from carillon.messages.envelope import Envelope
from carillon.messages.model import (
    PRIORITIES,
    Accepted,
    Attempt,
    Channel,
    Delivery,
    Priority,
    Refused,
    Unanswered,
    Unavailable,
)
from carillon.supervisor import TICK, Supervisor
from tests.actors.fakes import Answers, Log, envelope, ignore
from tests.properties import examples, is_nightly

ULP: Final = 1e-9
NAMES: Final = ("a", "b", "c")
CHANNELS: Final[tuple[Channel, ...]] = ("sms", "voice")
SHORTLY_BEFORE_MIDNIGHT: Final = datetime(2026, 1, 1, 23, 59, 45, tzinfo=UTC)
CHANGES_UNTIL: Final = 30.0
"""Seconds after which what holds everything up is lifted, so that each example comes to its end."""


def wall() -> datetime:
    return SHORTLY_BEFORE_MIDNIGHT + timedelta(seconds=trio.current_time())


# What a provider does, and what it sees


@dataclass(eq=False, slots=True)
class Visit:
    """One call as the provider saw it; `answer` is None when it was cut off or met a bug."""

    provider: str
    repeatable: bool
    started: bool = False
    answer: Attempt | None = None
    ended: float = inf

    @property
    def is_doubtful(self) -> bool:
        return self.started and (self.answer is None or isinstance(self.answer, Unanswered))


ANSWERS: Final[Sequence[Attempt]] = (
    *[Accepted()] * 6,
    Refused("no"),
    Unavailable("503"),
    Unavailable("429", throttled=True),
    Unavailable("503", retry_after=2.0),
    Unanswered("lost"),
)


class Fickle:
    """Connects, answers and fails as chance has it; whatever breaks a limit is put on record."""

    def __init__(self, name: str, seed: int, world: World, *, one_at_a_time: bool) -> None:
        self.name = name
        self.guard: Guard | None = None
        self._chance = Random(f"{seed} {name}")
        self._world = world
        self._one_at_a_time = one_at_a_time
        self._open: Counter[str] = Counter()
        self._promised: list[Limits] = []
        self._starts: list[float] = []

    @property
    def limits(self) -> Limits:
        assert self.guard is not None
        return self.guard.limits

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        chance, name = self._chance, delivery.id
        visit = self._enter(delivery)
        try:
            await trio.sleep(chance.choice((0.0, 0.0, 0.02, 0.3, 4.0)))
            self._perhaps_break()
            started()
            self._start(visit, name)
            await trio.sleep(chance.choice((0.0, 0.01, 0.3, 1.0, 9.0)))
            self._perhaps_break()
            visit.answer = chance.choice(ANSWERS)
            return visit.answer
        finally:
            self._open[delivery.address] -= 1
            visit.ended = trio.current_time()
            if not visit.started:
                self._promised.pop()

    def _perhaps_break(self) -> None:
        if self._chance.random() < 0.02:
            raise RuntimeError("bug")

    def _enter(self, delivery: Delivery) -> Visit:
        limits, earlier = self.limits, self._world.visits.setdefault(delivery.id, [])
        self._open[delivery.address] += 1
        self._check(self._open.total() <= limits.concurrency, "more calls than may be open")
        self._check(
            not self._one_at_a_time or self._open[delivery.address] == 1, "two calls of one turn"
        )
        self._check(not limits.paused, "a call while paused")
        begun = any(visit.provider == self.name for visit in earlier)
        self._check(begun or not limits.draining, "a new delivery while draining")
        # Promises are counted, not paired with calls: see actors/provider/rate_limit.py.
        self._promised.append(limits)
        visit = Visit(self.name, limits.on_unknown_outcome == "retry")
        earlier.append(visit)
        return visit

    def _start(self, visit: Visit, name: str) -> None:
        visit.started = True
        now, limits = trio.current_time(), self._promised[len(self._starts)]
        self._starts.append(now)
        self._check(now <= self._world.envelopes[name].expires_at, "a call after the end")
        for rate in limits.rates:
            inside = sum(at > now - rate.per + ULP for at in self._starts)
            self._check(inside <= rate.limit, f"{inside} calls under {rate}")
        if limits.quota is not None:
            today = (wall().replace(hour=0, minute=0, second=0) - wall()).total_seconds()
            used = sum(at >= now + today - ULP for at in self._starts)
            self._check(used <= limits.quota.limit, f"{used} calls under {limits.quota}")

    def _check(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001
        # An exception here would be one more bug of a provider, which the engine survives.
        if not holds:
            self._world.wrong.append(f"{trio.current_time():.3f} {self.name}: {otherwise}")

    def serialize_by(self, delivery: Delivery) -> str | None:
        return delivery.address if self._one_at_a_time else None

    async def aclose(self) -> None:
        pass


# What an example consists of


@dataclass(frozen=True, slots=True)
class Batch:
    """One dispatch: when it comes, for whom, and how long it stays worth sending."""

    at: float
    size: int
    channel: Channel
    priority: Priority
    time_to_live: float
    addresses: int


Arrangement = tuple[tuple[int, int | None], ...]
"""Which providers a channel has, by number, and with which weight."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something an operator does: by default they close a provider's breaker."""

    at: float
    provider: int
    limits: Limits | None = None
    arrangement: tuple[Channel, Arrangement] | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One world and its story."""

    seed: int
    limits: tuple[Limits, ...]
    turns: tuple[bool, ...]
    arrangements: Mapping[Channel, Arrangement]
    parking: int
    batches: Sequence[Batch]
    changes: Sequence[Change]


rates = st.builds(Rate, st.integers(1, 8), st.sampled_from([0.4, 1.0, 2.5]))
limits = st.builds(
    Limits,
    concurrency=st.integers(1, 8),
    rates=st.lists(rates, max_size=3).map(tuple),
    quota=st.none() | st.builds(Quota, st.integers(0, 30), st.just(time(0)), st.just("UTC")),
    timeout=st.sampled_from([0.5, 3.0, 20.0]),
    retry=st.builds(Retry, st.integers(1, 3), st.just(0.2), st.sampled_from([0.2, 3.0])),
    breaker=st.builds(BreakerSettings, st.integers(1, 4), st.just(3.0)),
    on_unknown_outcome=st.sampled_from(["hold", "retry"]),
    paused=st.sampled_from([False, False, False, True]),
    draining=st.sampled_from([False, False, False, True]),
)
Numbers = Literal[0, 1, 2]


def arrangements(providers: int) -> st.SearchStrategy[Arrangement]:
    chosen = st.permutations(range(providers)).flatmap(
        lambda order: st.integers(1, providers).map(lambda number: order[:number])
    )
    plain = chosen.map(lambda numbers: tuple((number, None) for number in numbers))
    weighted = chosen.flatmap(
        lambda numbers: st.tuples(
            *(st.tuples(st.just(number), st.integers(1, 5)) for number in numbers)
        )
    )
    return plain | weighted


@st.composite
def worlds(draw: st.DrawFn) -> Example:
    providers = draw(st.integers(1, 3))
    numbers, moments = st.integers(0, providers - 1), st.floats(0, CHANGES_UNTIL)
    channels = st.sampled_from(CHANNELS)
    batches = st.builds(
        Batch,
        at=st.floats(0, 10),
        size=st.integers(1, 12),
        channel=channels,
        priority=st.sampled_from(PRIORITIES),
        time_to_live=st.sampled_from([inf, inf, 0.5, 5.0, 30.0]),
        addresses=st.integers(1, 5),
    )
    changes = st.builds(
        Change,
        at=moments,
        provider=numbers,
        limits=st.none() | limits,
        arrangement=st.none() | st.tuples(channels, arrangements(providers)),
    )
    return Example(
        seed=draw(st.integers(0, 2**32)),
        limits=tuple(draw(limits) for _ in range(providers)),
        turns=tuple(draw(st.booleans()) for _ in range(providers)),
        arrangements={channel: draw(arrangements(providers)) for channel in CHANNELS},
        parking=draw(st.sampled_from([0, 1, 100])),
        batches=draw(st.lists(batches, min_size=1, max_size=5)),
        changes=draw(st.lists(changes, max_size=6)),
    )


# The world it happens in


@dataclass
class World:
    """A supervisor with its guards, and what its providers have seen."""

    example: Example
    wrong: list[str] = field(default_factory=list)
    visits: dict[str, list[Visit]] = field(default_factory=dict)
    envelopes: dict[str, Envelope] = field(default_factory=dict)

    def __post_init__(self) -> None:
        example = self.example
        self.answers = Answers()
        self._chance = Random(example.seed)
        self._guards = [self._guard(number) for number in range(len(example.limits))]
        self._routes = {
            channel: Route(self._choices(arrangement))
            for channel, arrangement in example.arrangements.items()
        }
        specs = [
            ChannelSpec(name, route, capacity=40, parking=example.parking, max_restarts=4)
            for name, route in self._routes.items()
        ]
        self._supervisor = Supervisor(specs, ignore, Log())

    def _guard(self, number: int) -> Guard:
        example, name = self.example, NAMES[number]
        provider = Fickle(name, example.seed, self, one_at_a_time=example.turns[number])
        guard = Guard(
            name, provider, example.limits[number], ignore, self._chance.random, wall=wall
        )
        provider.guard = guard
        return guard

    def _choices(self, arrangement: Arrangement) -> list[Choice]:
        return [Choice(self._guards[number], weight) for number, weight in arrangement]

    async def run(self) -> None:
        async with self._supervisor.running(grace=0):
            async with trio.open_nursery() as nursery:
                for number, batch in enumerate(self.example.batches):
                    nursery.start_soon(self._dispatch, f"d{number}", batch)
                for change in self.example.changes:
                    nursery.start_soon(self._change, change)
                nursery.start_soon(self._lift_everything)
            await self.answers.answered(len(self.envelopes), within=3000)

    async def _dispatch(self, name: str, batch: Batch) -> None:
        await trio.sleep(batch.at)
        expires_at = trio.current_time() + batch.time_to_live
        waiting = [
            envelope(
                f"{name}-{number}",
                self.answers.reply,
                batch.channel,
                dispatch=name,
                address=f"+39{number % batch.addresses}",
                priority=batch.priority,
                expires_at=expires_at,
            )
            for number in range(batch.size)
        ]
        self.envelopes |= {one.delivery.id: one for one in waiting}
        while waiting:
            room = min(5, await self._supervisor.wait_for_capacity(batch.channel, name, expires_at))
            part, waiting = waiting[:room], waiting[room:]
            if trio.current_time() < expires_at:
                self._supervisor.put(batch.channel, part)
            else:
                for one in part:
                    one.expire()

    async def _change(self, change: Change) -> None:
        await trio.sleep(change.at)
        guard = self._guards[change.provider]
        if change.arrangement is not None:
            channel, arrangement = change.arrangement
            self._routes[channel].arrange(self._choices(arrangement))
        if change.limits is not None:
            guard.apply(change.limits)
        if change.limits is None and change.arrangement is None:
            guard.close_breaker()

    async def _lift_everything(self) -> None:
        await trio.sleep(CHANGES_UNTIL)
        for guard in self._guards:
            guard.apply(replace(guard.limits, paused=False, draining=False, quota=None))

    def check(self) -> None:
        assert self.wrong == []
        assert set(self.answers.receipts) == set(self.envelopes)
        for name, one in self.envelopes.items():
            self._check_truth(name, one)

    def _check_truth(self, name: str, one: Envelope) -> None:
        receipt, visits = self.answers.receipts[name], self.visits.get(name, [])
        accepted = [isinstance(visit.answer, Accepted) for visit in visits]
        doubtful = [visit for visit in visits if visit.is_doubtful]
        assert sum(accepted) <= 1, "sent twice"
        assert (receipt.outcome == "sent") == any(accepted)
        assert (receipt.outcome == "in-doubt") == (bool(doubtful) and not any(accepted))
        assert not any(accepted[:-1]), "tried again after it was accepted"
        assert not any(isinstance(visit.answer, Refused) for visit in visits[:-1])
        if doubtful and doubtful[0] is not visits[-1]:
            later = visits[visits.index(doubtful[0]) :]
            assert len({visit.provider for visit in later}) == 1, "a doubt has moved"
            assert all(visit.repeatable for visit in later[:-1] if visit.is_doubtful)
        if receipt.outcome == "expired":
            # What left in time may be answered later; then it is too late to try again.
            latest = max([one.expires_at + TICK, *(visit.ended for visit in visits)])
            assert self.answers.times[name] <= latest + ULP


@pytest.mark.slow
@given(example=worlds())
@settings(
    max_examples=examples(60),
    derandomize=not is_nightly(),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_every_limit_holds_and_every_delivery_ends_once(example: Example) -> None:
    async def main() -> World:
        world = World(example)
        await world.run()
        return world

    trio.run(main, clock=MockClock(autojump_threshold=0)).check()


# How much of what is allowed is used


class Prompt:
    """Accepts everything after a while; remembers every start."""

    def __init__(self, latencies: Sequence[float]) -> None:
        self.starts: list[float] = []
        self._latencies = latencies

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        await trio.lowlevel.checkpoint()
        started()
        self.starts.append(trio.current_time())
        await trio.sleep(self._latencies[len(self.starts) % len(self._latencies)])
        return Accepted()

    def serialize_by(self, delivery: Delivery) -> str | None:
        return None

    async def aclose(self) -> None:
        pass


def ideal(number: int, rates: Sequence[Rate]) -> list[float]:
    """The earliest starts that the windows allow."""
    starts: list[float] = []
    for at in range(number):
        earliest = (starts[at - rate.limit] + rate.per for rate in rates if at >= rate.limit)
        starts.append(max(earliest, default=0.0))
    return starts


@pytest.mark.slow
@given(
    rates=st.lists(st.builds(Rate, st.integers(1, 30), st.floats(0.2, 20)), min_size=1, max_size=3),
    latencies=st.lists(st.sampled_from([0.0, 0.001, 0.02, 0.2, 1.0]), min_size=1, max_size=6),
    shared=st.booleans(),
)
@settings(max_examples=examples(25), derandomize=not is_nightly())
def test_hardly_any_of_an_allowed_rate_is_wasted_while_there_is_work(
    rates: list[Rate],
    latencies: list[float],
    shared: bool,  # noqa: FBT001
) -> None:
    number, provider = 120, Prompt(latencies)
    busiest = max(rate.limit / rate.per for rate in rates)
    concurrency = 35 + round(2 * busiest * max(latencies))

    async def main() -> None:
        guard = Guard("p", provider, Limits(concurrency, tuple(rates), timeout=60), ignore)
        channels = CHANNELS if shared else CHANNELS[:1]
        supervisor = Supervisor(
            [ChannelSpec(name, Route([Choice(guard)])) for name in channels], ignore, Log()
        )
        answers = Answers()
        async with supervisor.running(grace=0):
            for channel in channels:
                part = number // len(channels)
                names = [f"{channel}{one}" for one in range(part)]
                supervisor.put(channel, [envelope(name, answers.reply, channel) for name in names])
            await answers.answered(number, within=inf)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    for real, best in zip(provider.starts, ideal(number, rates), strict=True):
        assert real * 0.95 <= best + ULP
