"""A route takes the first provider that is fit, or shares by weight, and follows live changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import time
from math import inf

import pytest
import trio
from trio.testing import MockClock

from carillon.actors.lane import FRESH, Signature
from carillon.actors.provider.breaker import BreakerSettings
from carillon.actors.provider.guard import Guard
from carillon.actors.provider.limits import Limits
from carillon.actors.provider.quota import Quota
from carillon.actors.provider.rate_limit import Rate
from carillon.actors.router import Choice, Route
from carillon.messages.model import Attempt, Unavailable
from tests.actors.fakes import Caller, Script, envelope, ignore

FIT = Limits(breaker=BreakerSettings(1, 30))
PAUSED = replace(FIT, paused=True)
DRAINING = replace(FIT, draining=True)


def guard(name: str, limits: Limits = FIT, first: Attempt | None = None) -> Guard:
    acts = {} if first is None else {"x": [first]}
    return Guard(name, Script(**acts), limits, ignore, draw=lambda: 1.0)


def guards(*names: str) -> list[Guard]:
    return [guard(name) for name in names]


def in_order(those: Sequence[Guard]) -> Route:
    return Route([Choice(one) for one in those])


def chosen(it: Route, kind: Signature = FRESH) -> str | None:
    provider, _ = it.choose(kind, trio.current_time())
    return None if provider is None else provider.name


def again_at(it: Route, kind: Signature = FRESH) -> float:
    provider, at = it.choose(kind, trio.current_time())
    assert provider is None
    return at


def tried(at: str, *given_up: str) -> Signature:
    return at, given_up, False


def doubtful(at: str) -> Signature:
    return at, (), True


async def fail(it: Guard) -> None:
    """Let it have the answer that was scripted for it."""
    await Caller(it).attempt(envelope("x"))


# In order


async def test_the_first_fit_provider_is_chosen(autojump_clock: MockClock) -> None:
    a, b = guards("a", "b")
    it = in_order([a, b])
    assert chosen(it) == "a"
    a.apply(PAUSED)
    assert chosen(it) == "b"
    a.apply(FIT)
    assert chosen(it) == "a"


@pytest.mark.parametrize("limits", [PAUSED, DRAINING])
async def test_what_an_operator_took_out_is_passed_over(
    limits: Limits, autojump_clock: MockClock
) -> None:
    assert chosen(in_order([guard("a", limits), guard("b")])) == "b"


@pytest.mark.parametrize(
    "answer",
    [Unavailable("down"), Unavailable("429", throttled=True), Unavailable("503", retry_after=9)],
)
async def test_a_broken_or_throttled_provider_is_passed_over_for_a_while(
    answer: Attempt, autojump_clock: MockClock
) -> None:
    a = guard("a", first=answer)
    it = in_order([a, guard("b")])
    await fail(a)
    assert chosen(it) == "b"
    await trio.sleep(30)
    assert chosen(it) == "a"


async def test_while_a_probe_is_out_the_others_carry_on(autojump_clock: MockClock) -> None:
    a = guard("a", first=Unavailable("down"))
    it = in_order([a, guard("b")])
    await fail(a)
    await trio.sleep(30)
    a.permit(None)
    assert chosen(it) == "b"


async def test_a_provider_out_of_quota_is_passed_over(autojump_clock: MockClock) -> None:
    a = guard("a", replace(FIT, quota=Quota(1, time(0, 0), "UTC")))
    it = in_order([a, guard("b")])
    await fail(a)
    assert chosen(it) == "b"


async def test_a_provider_that_is_merely_busy_is_waited_for(autojump_clock: MockClock) -> None:
    a = guard("a", replace(FIT, concurrency=1))
    b = guard("b", replace(FIT, rates=(Rate(1, 60),)))
    permit = a.permit(None)
    await fail(b)
    assert again_at(in_order([a, b])) == inf
    assert again_at(in_order([b, a])) == pytest.approx(60)
    a.release(permit)
    assert chosen(in_order([a, b])) == "a"


async def test_when_none_is_fit_it_tells_when_to_ask_again(autojump_clock: MockClock) -> None:
    a = guard("a", first=Unavailable("down"))
    b = guard("b", first=Unavailable("429", retry_after=7))
    it = in_order([a, b])
    await fail(a)
    await fail(b)
    assert again_at(it) == pytest.approx(7)
    b.apply(PAUSED)
    assert again_at(it) == pytest.approx(30)
    a.apply(PAUSED)
    assert again_at(it) == inf


async def test_drained_providers_are_not_asked_again_and_again(autojump_clock: MockClock) -> None:
    """A time that is not ahead would let the channel spin."""
    it = in_order([guard("a", DRAINING), guard("b", DRAINING)])
    assert again_at(it) == inf
    throttled = guard("c", DRAINING, first=Unavailable("429", retry_after=7))
    await fail(throttled)
    it = in_order([throttled, guard("d", DRAINING)])
    assert again_at(it) == inf
    assert again_at(it, tried("c")) == pytest.approx(7)


# What was tried before


async def test_a_message_stays_with_the_provider_that_tried_it_while_that_is_fit(
    autojump_clock: MockClock,
) -> None:
    a, b = guard("a"), guard("b", replace(FIT, concurrency=1))
    it = in_order([a, b])
    assert chosen(it, tried("b")) == "b"
    b.permit(None)
    assert again_at(it, tried("b")) == inf


@pytest.mark.parametrize("limits", [PAUSED, replace(FIT, quota=Quota(0, time(0, 0), "UTC"))])
async def test_a_message_moves_on_while_the_provider_that_tried_it_is_not_fit(
    limits: Limits, autojump_clock: MockClock
) -> None:
    a, b = guards("a", "b")
    it = in_order([a, b])
    a.apply(limits)
    assert chosen(it, tried("a")) == "b"
    a.apply(FIT)
    assert chosen(it, tried("a")) == "a"


async def test_a_message_moves_on_from_a_broken_or_throttled_provider(
    autojump_clock: MockClock,
) -> None:
    a = guard("a", first=Unavailable("429", retry_after=5))
    b = guard("b", first=Unavailable("down"))
    it = in_order([a, b])
    await fail(a)
    assert chosen(it, tried("a")) == "b"
    await trio.sleep(5)
    await fail(b)
    assert chosen(it, tried("b")) == "a"


async def test_a_draining_provider_goes_on_with_what_it_has_begun(
    autojump_clock: MockClock,
) -> None:
    it = in_order([guard("a", DRAINING), guard("b")])
    assert chosen(it, tried("a")) == "a"
    assert chosen(it) == "b"


async def test_a_draining_provider_alone_goes_on_with_what_it_has_begun(
    autojump_clock: MockClock,
) -> None:
    it = in_order([guard("a", DRAINING)])
    assert chosen(it, tried("a")) == "a"
    assert again_at(it) == inf


async def test_what_a_provider_has_given_up_goes_to_the_others(autojump_clock: MockClock) -> None:
    a, b, c = guards("a", "b", "c")
    it = in_order([a, b, c])
    assert chosen(it, (None, ("a",), False)) == "b"
    assert chosen(it, (None, ("b", "a"), False)) == "c"
    c.apply(PAUSED)
    assert again_at(it, (None, ("a", "b"), False)) == inf
    assert [one.guard.name for one in it.left(("a",))] == ["b", "c"]
    assert it.left(("a", "b", "c")) == []


async def test_what_is_in_doubt_never_moves(autojump_clock: MockClock) -> None:
    a, b = guards("a", "b")
    it = in_order([a, b])
    assert chosen(it, doubtful("b")) == "b"
    b.apply(PAUSED)
    assert again_at(it, doubtful("b")) == inf
    b.apply(DRAINING)
    assert chosen(it, doubtful("b")) == "b"


# Weights


def weighted(*pairs: tuple[Guard, int]) -> Route:
    return Route([Choice(one, weight) for one, weight in pairs])


async def test_weights_hold_exactly_while_all_keep_up(autojump_clock: MockClock) -> None:
    a, b, c = guards("a", "b", "c")
    it = weighted((a, 5), (b, 3), (c, 2))
    names = [chosen(it) for _ in range(1000)]
    for start in range(0, 1000, 10):
        assert Counter(names[start : start + 10]) == {"a": 5, "b": 3, "c": 2}


async def test_weights_are_spread_and_not_in_runs(autojump_clock: MockClock) -> None:
    a, b = guards("a", "b")
    it = weighted((a, 2), (b, 1))
    assert [chosen(it) for _ in range(6)] == ["a", "b", "a", "a", "b", "a"]


async def test_a_full_one_is_no_bottleneck(autojump_clock: MockClock) -> None:
    a, b = guard("a", replace(FIT, concurrency=1)), guard("b")
    it = weighted((a, 9), (b, 1))
    permit = a.permit(None)
    assert [chosen(it) for _ in range(5)] == ["b"] * 5
    a.release(permit)
    assert [chosen(it) for _ in range(10)].count("a") == 9


async def test_what_could_not_take_its_share_does_not_make_up_for_it(
    autojump_clock: MockClock,
) -> None:
    a, b = guard("a"), guard("b", PAUSED)
    it = weighted((a, 1), (b, 1))
    for _ in range(100):
        chosen(it)
    b.apply(FIT)
    assert [chosen(it) for _ in range(10)].count("b") == 5


async def test_when_all_are_full_it_tells_when_the_first_opens(autojump_clock: MockClock) -> None:
    a = guard("a", replace(FIT, rates=(Rate(1, 60),)))
    b = guard("b", replace(FIT, rates=(Rate(1, 20),)))
    await fail(a)
    await fail(b)
    assert again_at(weighted((a, 1), (b, 1))) == pytest.approx(20)


async def test_weights_do_not_move_what_was_tried(autojump_clock: MockClock) -> None:
    a, b = guards("a", "b")
    it = weighted((a, 99), (b, 1))
    assert {chosen(it, tried("b")) for _ in range(20)} == {"b"}


# Arranged anew


async def test_another_order_and_other_weights_hold_at_once(autojump_clock: MockClock) -> None:
    a, b = guards("a", "b")
    it = weighted((a, 3), (b, 1))
    for _ in range(3):
        chosen(it)
    it.arrange([Choice(a, 1), Choice(b, 3)])
    assert Counter(chosen(it) for _ in range(100)) == {"a": 25, "b": 75}
    it.arrange([Choice(b), Choice(a)])
    assert chosen(it) == "b"


async def test_a_provider_that_is_taken_out_keeps_only_what_is_in_doubt(
    autojump_clock: MockClock,
) -> None:
    a, b = guards("a", "b")
    it = in_order([a, b])
    it.arrange([Choice(b)])
    assert chosen(it) == "b"
    assert chosen(it, tried("a")) == "b"
    assert chosen(it, doubtful("a")) == "a"
    a.apply(PAUSED)
    assert again_at(it, doubtful("a")) == inf


async def test_when_nobody_else_is_left_those_that_gave_it_up_may_try_again(
    autojump_clock: MockClock,
) -> None:
    a, b = guards("a", "b")
    it = in_order([a, b])
    it.arrange([Choice(a)])
    assert chosen(it, (None, ("a",), False)) == "a"


async def test_there_are_as_many_workers_as_calls_may_be_open(autojump_clock: MockClock) -> None:
    a, b = guard("a", replace(FIT, concurrency=3)), guard("b", replace(FIT, concurrency=4))
    it = in_order([a, b])
    assert it.workers == 7
    b.apply(replace(FIT, concurrency=9))
    assert it.workers == 12
    it.arrange([Choice(b)])
    assert it.workers == 9


async def test_who_listens_hears_of_providers_and_of_arrangements_once(
    autojump_clock: MockClock,
) -> None:
    a, b = guards("a", "b")
    it, told = in_order([a]), list[None]()
    it.listen(lambda: told.append(None))
    it.arrange([Choice(a), Choice(b)])
    it.arrange([Choice(b), Choice(a)])
    assert len(told) == 2
    a.release(a.permit(None))
    b.apply(PAUSED)
    assert len(told) == 4


# What is awaited


async def test_it_tells_which_provider_a_message_waits_for(autojump_clock: MockClock) -> None:
    a, b = guards("a", "b")
    it = in_order([a, b])
    assert it.awaited(FRESH) == "a"
    assert it.awaited(tried("b")) == "b"
    assert it.awaited((None, ("a",), False)) == "b"
    a.apply(PAUSED)
    assert it.awaited(FRESH) == "b"
    assert it.awaited(tried("a")) == "b"
    assert it.awaited(doubtful("a")) == "a"
    b.apply(PAUSED)
    assert it.awaited(FRESH) == "a"
