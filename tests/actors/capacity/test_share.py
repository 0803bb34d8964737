"""A guard on a share: it uses no more than was granted, and nothing once the lease has ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from math import inf

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from carillon.actors.capacity.share import CONCURRENCY, DEMAND_WINDOW, Grant, Part, Usage, pool_of
from carillon.actors.provider.breaker import BreakerSettings
from carillon.actors.provider.call import Requeue
from carillon.actors.provider.guard import Guard
from carillon.actors.provider.limits import Limits, Retry
from carillon.actors.provider.quota import Allowance, Quota
from carillon.actors.provider.rate_limit import Rate
from carillon.messages.model import Unavailable
from tests.actors.fakes import Caller, Connects, Script, envelope, ignore
from tests.actors.workshop import Workshop

LIMITS = Limits(concurrency=10, rates=(Rate(9, 1.0),), timeout=5.0, retry=Retry(attempts=2))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 1, 2, tzinfo=UTC)
QUOTA = Limits(quota=Quota(100, time(0), "UTC"))


def wall() -> datetime:
    return NOON + timedelta(seconds=trio.current_time())


class News:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def joined(
    limits: Limits = LIMITS, script: Script | None = None, news: News | None = None
) -> Guard:
    guard = Guard("p", script or Script(), limits, ignore, draw=lambda: 1.0, wall=wall)
    guard.join(news or News())
    return guard


def grant(concurrency: int = 10, rate: int = 9, allowance: Allowance | None = None) -> Grant:
    pools = {CONCURRENCY: Part(concurrency, 10), pool_of(1): Part(rate, 9)}
    return Grant(pools) if allowance is None else Grant(pools, allowance)


def is_open(guard: Guard) -> bool:
    return guard.opens_at(trio.current_time()) <= trio.current_time()


def promised(guard: Guard) -> int:
    """Promise whatever may be promised: how many calls."""
    number = 0
    while is_open(guard):
        guard.permit(None)
        number += 1
    return number


async def test_nothing_starts_before_there_is_a_share(autojump_clock: MockClock) -> None:
    guard = joined()
    assert guard.opens_at(0) == inf
    assert guard.statistics().hold == "share"
    guard.take_share(grant(), until=0.0)
    assert not is_open(guard)
    assert guard.statistics().hold == "share"


async def test_a_guard_that_has_not_joined_takes_no_share() -> None:
    with pytest.raises(RuntimeError):
        Guard("p", Script(), LIMITS, ignore).take_share(grant(), 1.0)


@pytest.mark.parametrize(("concurrency", "rate", "most"), [(4, 9, 4), (10, 3, 3), (0, 9, 0)])
async def test_a_share_is_what_limits(
    concurrency: int, rate: int, most: int, autojump_clock: MockClock
) -> None:
    guard = joined()
    guard.take_share(grant(concurrency, rate), until=9.0)
    assert promised(guard) == most


async def test_a_rate_of_no_calls_opens_with_the_next_share(autojump_clock: MockClock) -> None:
    guard = joined()
    guard.take_share(grant(rate=0), until=9.0)
    assert promised(guard) == 0
    guard.take_share(grant(rate=2), until=9.0)
    assert promised(guard) == 2


async def test_who_waits_is_told_of_a_share(autojump_clock: MockClock) -> None:
    guard, script = joined(), Script()
    caller = Caller(guard)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller.deliver, envelope("a"))
        await wait_all_tasks_blocked()
        assert script.ids == []
        guard.take_share(grant(), until=9.0)
    assert isinstance(guard.usage(), Usage)


async def test_a_lowered_limit_lowers_the_share_at_once_and_more_needs_an_exchange(
    autojump_clock: MockClock,
) -> None:
    news = News()
    guard = joined(news=news)
    guard.take_share(grant(concurrency=5, rate=9), until=9.0)
    guard.apply(replace(LIMITS, concurrency=4))
    assert news.count == 1
    assert promised(guard) == 2  # five of ten make two of four
    guard.apply(replace(LIMITS, concurrency=40))
    assert promised(guard) == 3


async def test_a_new_window_lets_nothing_pass_before_it_is_shared(
    autojump_clock: MockClock,
) -> None:
    guard = joined()
    guard.take_share(grant(), until=9.0)
    guard.apply(replace(LIMITS, rates=(Rate(9, 1.0), Rate(100, 60.0))))
    assert not is_open(guard)


# The lease


async def test_what_was_promised_on_a_lease_that_ended_never_starts(
    autojump_clock: MockClock,
) -> None:
    script = Script(a=[Connects(2.0)])
    guard = joined(replace(LIMITS, breaker=BreakerSettings(failures=1)), script)
    guard.take_share(grant(), until=1.0)
    permit = guard.permit(None)
    one = envelope("a")
    call = guard.call(one, permit)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(renew_after, guard, 1.5)
            attempt = await guard.make(call)
    assert not scope.cancelled_caught
    guard.release(permit)
    assert attempt is None
    assert guard.judge(call, attempt) == Requeue()
    assert (one.attempts, one.tries["p"], one.at, one.open_attempt) == (0, 0, None, None)
    assert guard.statistics().breaker == "closed"
    assert guard.usage().pools[pool_of(1)].used == 0


async def renew_after(guard: Guard, seconds: float) -> None:
    await trio.sleep(seconds)
    guard.take_share(grant(), until=9.0)


async def test_a_lease_that_lasts_is_extended(autojump_clock: MockClock) -> None:
    script = Script(a=[Connects(2.0)])
    guard = joined(script=script)
    guard.take_share(grant(), until=1.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(renew_after, guard, 0.5)
        await Caller(guard).deliver(envelope("a"))
    assert script.times == [2.0]


async def test_a_probe_that_is_prevented_lets_the_next_call_probe(
    autojump_clock: MockClock,
) -> None:
    script = Script(a=[Unavailable("503")], b=[Connects(2.0)])
    guard = joined(replace(LIMITS, breaker=BreakerSettings(failures=1, cooldown=1.0)), script)
    guard.take_share(grant(), until=2.0)
    caller = Caller(guard)
    await caller.attempt(envelope("a"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(renew_after, guard, 4.0)
        await trio.sleep(1.0)
        await caller.deliver(envelope("b"))
    assert [name for _, name in script.calls] == ["a", "b", "b"]


async def test_a_call_that_was_prevented_ends_unstarted_and_waits_again(
    autojump_clock: MockClock,
) -> None:
    script = Script(a=[Connects(1.0)])
    guard = joined(script=script)
    guard.take_share(grant(), until=0.5)
    shop = Workshop(guard)
    async with shop.running():
        shop.put("a")
        await renew_after(guard, 5.0)
        await shop.answered(1)
    assert [end.result for end in shop.log.ends] == ["unstarted"]
    assert shop.outcomes() == {"a": "sent"}
    assert shop.receipts["a"].attempts == 1


async def test_an_ended_share_starts_nothing(autojump_clock: MockClock) -> None:
    guard = joined()
    guard.take_share(grant(), until=9.0)
    guard.end_share()
    assert not is_open(guard)


# What it tells


async def test_it_tells_what_it_uses(autojump_clock: MockClock) -> None:
    guard = joined()
    guard.take_share(grant(concurrency=5, rate=6), until=9.0)
    permits = [guard.permit(None) for _ in range(3)]
    permits[0].slot.start()
    for permit in permits:
        guard.release(permit)
    usage = guard.usage()
    pool = usage.pools[CONCURRENCY]
    assert (pool.total, pool.limit, pool.used, pool.most) == (10, 5, 0, 3)
    window = usage.pools[pool_of(1)]
    assert (window.total, window.limit, window.used, window.most) == (9, 6, 1, 1)
    assert window.rest >= 1.0
    assert pool.rest >= LIMITS.timeout
    assert guard.usage().pools[CONCURRENCY].most == 0


async def test_it_is_hungry_while_somebody_is_told_to_wait(autojump_clock: MockClock) -> None:
    news = News()
    guard = joined(news=news)
    assert not guard.usage().hungry
    for _ in range(3):
        guard.opens_at(trio.current_time())
    assert guard.usage().hungry
    assert news.count == 1
    await trio.sleep(DEMAND_WINDOW)
    assert not guard.usage().hungry
    guard.opens_at(trio.current_time())
    assert news.count == 2


async def test_it_is_not_hungry_for_what_it_could_not_use(autojump_clock: MockClock) -> None:
    guard = joined(replace(LIMITS, paused=True))
    guard.opens_at(trio.current_time())
    guard.statistics()
    assert not guard.usage().hungry


async def test_forgotten_calls_count_as_long_as_they_may(autojump_clock: MockClock) -> None:
    guard = joined(Limits(concurrency=10))
    guard.take_share(Grant({CONCURRENCY: Part(10, 10)}), until=99.0)
    for _ in range(1500):
        permit = guard.permit(None)
        permit.slot.start()
        guard.release(permit)
    guard.apply(Limits(concurrency=10, rates=(Rate(5, 10.0),)))
    assert guard.usage().pools[pool_of(10)].used == 1500
    await trio.sleep(11)
    assert guard.usage().pools[pool_of(10)].used == 0


# The quota


def quota(guard: Guard, number: int, most: int = 100, ends: datetime = MIDNIGHT) -> None:
    pools = {CONCURRENCY: Part(20, 20)}
    guard.take_share(Grant(pools, Allowance(ends, number, most, 100)), until=inf)


async def test_of_a_quota_the_allowance_is_used_and_the_rest_is_known(
    autojump_clock: MockClock,
) -> None:
    guard = joined(QUOTA)
    quota(guard, 3, most=50)
    assert promised(guard) == 3
    assert guard.opens_at(0) == inf
    assert guard.takes(0, begun=False)  # there is more to be had
    assert guard.statistics().quota_left == 47
    quota(guard, 5, most=5)
    assert promised(guard) == 2
    assert not guard.takes(0, begun=False)


async def test_a_smaller_quota_holds_at_once(autojump_clock: MockClock) -> None:
    guard = joined(QUOTA)
    quota(guard, 30, most=60)  # others may use the other 40
    guard.apply(Limits(quota=Quota(50, time(0), "UTC")))
    assert guard.statistics().quota_left == 10
    assert promised(guard) == 10


async def test_an_allowance_is_for_its_day(autojump_clock: MockClock) -> None:
    guard = joined(QUOTA)
    quota(guard, 3)
    await trio.sleep(12 * 3600)
    assert promised(guard) == 0
    assert guard.takes(trio.current_time(), begun=False)
    quota(guard, 2, ends=MIDNIGHT + timedelta(days=1))
    assert promised(guard) == 2
