"""Whatever happens, no window is ever exceeded, and hardly any of a limit is wasted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count, cycle
from math import inf

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from carillon.actors.provider.rate_limit import Rate, RateLimit, Slot
from tests.properties import examples

ULP = 1e-9


def settle(rate: Rate) -> float:
    return min(0.04 * rate.per, 0.05)


@dataclass(frozen=True, slots=True)
class Plan:
    """How one call goes: seconds to its start, then to its answer; or it never starts."""

    connect: float
    answer: float
    starts: bool = True


@dataclass(slots=True)
class Call:
    """What the limit promised, and when the call's first byte and its answer were seen."""

    slot: Slot
    plan: Plan
    start: float = inf
    answer: float = inf

    def latest_arrival(self, rate: Rate) -> float:
        return min(self.answer, self.start + settle(rate))


@dataclass
class Provider:
    """Makes one call after the other as early as the limit allows, on a clock of its own.

    `in_force[n]` are the rates under which the last promise was given that made the calls promised
    or started n+1: promises are counted, not paired with calls.
    """

    clock: MockClock
    rates: Sequence[Rate]
    at_once: int
    forgets: bool = False
    started: list[Call] = field(default_factory=list)
    in_force: list[Sequence[Rate]] = field(default_factory=list)
    news: bool = False

    def __post_init__(self) -> None:
        self.limit = RateLimit(self.rates, changed=self._changed)
        self._order = count()
        self._due: list[tuple[float, int, Call]] = []
        self._open = 0

    def run(
        self, plans: Sequence[Plan], calls: int, changes: Sequence[tuple[float, Sequence[Rate]]]
    ) -> None:
        """So many starts, the plans over and over, while the rates change at those times."""
        turns, due = cycle(plans), sorted(changes, key=lambda change: change[0], reverse=True)
        while len(self.started) < calls or self._due:
            while due and due[-1][0] <= trio.current_time():
                self.rates = due.pop()[1]
                self.limit.apply(self.rates, None)
            opens_at = self._promise_all(turns, calls)
            self._go_to(min(opens_at, due[-1][0] if due else inf))

    def _promise_all(self, turns: cycle[Plan], calls: int) -> float:
        """Promise what may be promised now; gives when more may be."""
        while self._open < self.at_once and len(self.started) < calls:
            opens_at = self.limit.opens_at()
            self.check_time(opens_at)
            if opens_at > trio.current_time():
                return opens_at
            self.check_promise()
            call = Call(self.limit.reserve(), next(turns))
            self._open += 1
            self.in_force.append(self.rates)
            self._later(call, call.plan.connect)
        return inf

    def _go_to(self, time: float) -> None:
        """Up to that time or the next thing that happens, whichever is first."""
        happens = self._due[0][0] if self._due else inf
        now = trio.current_time()
        assert min(time, happens) < inf, "nothing is left that could let a call start"
        self.clock.jump(max(0.0, min(time, happens) - now))
        while self._due and self._due[0][0] <= trio.current_time():
            self._happen(heappop(self._due)[2])

    def _happen(self, call: Call) -> None:
        self.news = False
        if call.start == inf and call.plan.starts:
            call.slot.start()
            call.start = trio.current_time()
            self.check_start(call)
            self.started.append(call)
            self._later(call, call.plan.answer)
            assert self.news or not self.rates
            return
        if call.start == inf:
            self.in_force.pop()
        call.slot.end()
        self._open -= 1
        if self.rates:  # nobody asks for an answer's time while there is no limit
            call.answer = trio.current_time()

    def _later(self, call: Call, seconds: float) -> None:
        heappush(self._due, (trio.current_time() + seconds, next(self._order), call))

    def _changed(self) -> None:
        self.news = True

    def check_time(self, opens_at: float) -> None:
        """Neither earlier nor, unless calls were forgotten, later than the rule says."""
        now = trio.current_time()
        rule = max((self.opens_at(rate) for rate in self.rates), default=now)
        assert opens_at >= rule - ULP or rule <= now
        assert self.forgets or opens_at <= rule + ULP or opens_at <= now

    def opens_at(self, rate: Rate) -> float:
        """The rule, from the whole history of calls."""
        out = len(self.in_force) - rate.limit + 1
        if out > len(self.started):
            return inf
        arrivals = [call.latest_arrival(rate) for call in self.started[: max(0, out)]]
        return max(arrivals, default=-inf) + rate.per

    def check_promise(self) -> None:
        """All that is promised may arrive now, and everything else as late as it can."""
        promised = len(self.in_force) - len(self.started)
        for rate in self.rates:
            assert promised + self.still_inside(rate) < rate.limit

    def check_start(self, call: Call) -> None:
        """This call arrives now, and everything that started earlier as late as it can."""
        for rate in self.in_force[len(self.started)]:
            assert self.still_inside(rate) < rate.limit

    def still_inside(self, rate: Rate) -> int:
        since = trio.current_time() - rate.per + ULP
        return sum(call.latest_arrival(rate) > since for call in self.started)


def most_in_a_window(calls: Sequence[Call], rate: Rate) -> int:
    """The most arrivals that any window can hold: each call arrives where it does most harm."""
    latest = [call.latest_arrival(rate) for call in calls]
    return max(
        sum(
            begin <= other and call.start < begin + rate.per - ULP
            for call, other in zip(calls, latest, strict=True)
        )
        for begin in latest
    )


def virtual(
    rates: Sequence[Rate],
    plans: Sequence[Plan],
    changes: Sequence[tuple[float, Sequence[Rate]]] = (),
    at_once: int = 30,
    kept: int | None = None,
) -> Sequence[Call]:
    """Sixty calls in the order of their starts. `kept`: how many are remembered at least."""
    clock = MockClock()

    async def main() -> Sequence[Call]:
        provider = Provider(clock, rates, at_once, forgets=kept is not None)
        provider.run(plans, 60, changes)
        return provider.started

    with pytest.MonkeyPatch.context() as patch:
        if kept is not None:
            patch.setattr("carillon.actors.provider.call_history.LEAST_KEPT", kept)
        return trio.run(main, clock=clock)


lengths = st.one_of(st.sampled_from([0.5, 1.0]), st.floats(0.1, 3))
windows = st.lists(st.builds(Rate, st.integers(1, 8), lengths), min_size=1, max_size=4)
moments = st.one_of(st.just(0.0), st.floats(0, 0.06), st.floats(0, 1.5))
plans = st.lists(
    st.builds(Plan, moments, moments, st.sampled_from([True, True, True, False])),
    min_size=1,
    max_size=12,
).filter(lambda plans: any(plan.starts for plan in plans))
on_open_connections = st.lists(st.builds(Plan, st.just(0.0), moments), min_size=1, max_size=12)
times = st.one_of(st.just(1.0), st.floats(0, 6))
changes = st.lists(
    st.tuples(times, st.one_of(st.just(list[Rate]()), windows)), min_size=1, max_size=5
)


@pytest.mark.slow
@given(rates=windows, plans=plans)
@settings(max_examples=examples(60))
def test_no_window_can_hold_more_than_its_limit(rates: list[Rate], plans: list[Plan]) -> None:
    calls = virtual(rates, plans)
    for rate in rates:
        assert most_in_a_window(calls, rate) <= rate.limit


@pytest.mark.slow
@given(rates=windows, plans=plans, changes=changes)
@settings(max_examples=examples(120))
def test_live_changes_hold_from_the_next_promise_on(
    rates: list[Rate], plans: list[Plan], changes: list[tuple[float, list[Rate]]]
) -> None:
    assert len(virtual(rates, plans, changes)) >= 60  # the provider checks as it goes


@pytest.mark.slow
@given(rates=windows, plans=plans, changes=changes, kept=st.integers(1, 10))
@settings(max_examples=examples(80))
def test_live_changes_hold_when_calls_were_forgotten(
    rates: list[Rate], plans: list[Plan], changes: list[tuple[float, list[Rate]]], kept: int
) -> None:
    assert len(virtual(rates, plans, changes, kept=kept)) >= 60


@pytest.mark.slow
@given(rates=windows, plans=on_open_connections)
@settings(max_examples=examples(60))
def test_hardly_any_of_what_is_allowed_is_wasted(rates: list[Rate], plans: list[Plan]) -> None:
    starts = [call.start for call in virtual(rates, plans, at_once=60)]
    ideal: list[float] = []
    for number in range(len(starts)):
        earliest = [ideal[number - rate.limit] + rate.per for rate in rates if number >= rate.limit]
        ideal.append(max(earliest, default=0.0))
    assert all(real * 0.95 <= best for real, best in zip(starts, ideal, strict=True))
