"""What starts next: by priority and fairness, when and where it can, and never a moment late."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import inf

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from carillon.actors.provider.breaker import BreakerSettings
from carillon.actors.provider.limits import Limits, Retry
from carillon.actors.provider.rate_limit import Rate
from carillon.actors.router import Choice, Route
from carillon.actors.scheduler import Job
from carillon.messages.model import Delivery, Unavailable
from tests.actors.fakes import Connects, Script
from tests.actors.workshop import Workshop, guard, route

ONE = Limits(concurrency=1)


def names(prefix: str, number: int) -> list[str]:
    return [f"{prefix}{one}" for one in range(number)]


def taken(shop: Workshop) -> Job:
    """The next message that can start."""
    job = shop.scheduler.take(trio.current_time())
    assert job is not None
    return job


# One message and its permit


async def test_a_message_comes_with_the_permit_for_its_call(autojump_clock: MockClock) -> None:
    provider = guard("p", Script(), Limits(concurrency=1, timeout=7))
    shop = Workshop(provider)
    [one] = shop.put("a")
    await trio.sleep(3)
    job = taken(shop)
    assert job.envelope is one
    assert job.permit is not None
    assert (job.permit.guard, job.since, job.due) == (provider, 3.0, 10.0)
    assert provider.statistics().in_flight == 1
    assert shop.inbox.depth == 0


async def test_nothing_is_taken_out_while_nothing_can_start(autojump_clock: MockClock) -> None:
    shop = Workshop(guard("p", Script(), ONE))
    shop.put("a", "b")
    first = taken(shop)
    assert shop.scheduler.take(5.0) is None
    assert shop.inbox.depth == 1
    assert first.permit is not None
    first.permit.guard.release(first.permit)
    assert taken(shop).envelope.delivery.id == "b"


async def test_a_look_says_when_the_next_one_may_find_something(
    autojump_clock: MockClock,
) -> None:
    provider = guard("p", Script(), Limits(2, rates=(Rate(1, 60.0),)))
    shop = Workshop(provider)
    shop.put("a", "b", expires_at=500.0)
    first = taken(shop)
    assert first.permit is not None
    assert (shop.scheduler.take(0.0), shop.scheduler.is_blocked) == (None, True)
    assert shop.scheduler.wakes_at == 500.0  # until the call has begun nobody knows more
    first.permit.slot.start()
    first.permit.guard.release(first.permit)
    assert shop.scheduler.take(0.0) is None
    assert shop.scheduler.wakes_at == pytest.approx(60, abs=0.1)
    await trio.sleep_until(shop.scheduler.wakes_at)
    assert taken(shop).envelope.delivery.id == "b"
    assert (shop.scheduler.take(trio.current_time()), shop.scheduler.is_blocked) == (None, False)
    assert shop.scheduler.wakes_at == 500.0


async def test_a_bug_in_a_turn_concerns_its_message_alone(autojump_clock: MockClock) -> None:
    shop = Workshop(guard("p", Turnless()))
    async with shop.running():
        shop.put("a", "b")
        await shop.answered(2)
    assert shop.reasons() == {"a": "crashed", "b": "accepted"}
    assert [repr(bug) for bug in shop.bugs] == [repr(Turnless.BUG)] * 2


class Turnless(Script):
    """Fails to say what a delivery shares with others."""

    BUG = RuntimeError("bug")

    def serialize_by(self, delivery: Delivery) -> str | None:
        if delivery.id == "a":
            raise self.BUG
        return None


async def test_an_idle_channel_ends_when_it_is_closed(autojump_clock: MockClock) -> None:
    shop = Workshop(guard("p", Script()))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.calls.run)
        await trio.sleep(1)
        shop.close()
    assert trio.current_time() == 1.0


async def test_a_closed_channel_ends_only_when_nothing_is_left(autojump_clock: MockClock) -> None:
    provider = Script(a=[Unavailable("503")])
    shop = Workshop(guard("p", provider, Limits(3, retry=Retry(2, 30, 30))))
    async with shop.running():
        shop.put("a")
        await trio.sleep(1)
        assert shop.inbox.parked == 1
    assert shop.outcomes() == {"a": "sent"}
    assert trio.current_time() == pytest.approx(30)


# Priority and fairness


@pytest.mark.slow
async def test_a_one_time_code_is_next_even_behind_ten_thousand_and_a_slow_limit(
    autojump_clock: MockClock,
) -> None:
    provider = Script()
    shop = Workshop(guard("p", provider, Limits(20, rates=(Rate(1, 1.0),))))
    async with shop.running():
        shop.put(*names("bulk", 10_000), dispatch="bulk", priority="bulk")
        await trio.sleep(100.5)
        shop.put("code", dispatch="code", priority="high")
        await shop.answered(len(shop.receipts) + 1)
        assert provider.ids[-1] == "code"
        assert shop.times["code"] <= 102
        shop.inbox.empty()
    assert shop.reasons()["code"] == "accepted"


async def test_a_one_time_code_is_next_when_all_workers_are_busy(
    autojump_clock: MockClock,
) -> None:
    provider = Script(10.0)
    shop = Workshop(guard("p", provider, Limits(4)))
    async with shop.running():
        shop.put(*names("bulk", 400), dispatch="bulk", priority="bulk")
        await trio.sleep(15)
        shop.put("code", dispatch="code", priority="high")
        await trio.sleep(10)
        assert "code" in provider.ids[8:12]
        shop.inbox.empty()


async def test_dispatches_share_a_limited_provider(autojump_clock: MockClock) -> None:
    provider = Script()
    shop = Workshop(guard("p", provider, Limits(20, rates=(Rate(1, 1.0),))))
    async with shop.running():
        for dispatch, number in (("big", 500), ("small", 3), ("other", 500)):
            shop.put(*names(f"{dispatch}-", number), dispatch=dispatch)
        await trio.sleep(20)
        shop.inbox.empty()
    counts = Counter(name.split("-")[0] for name in provider.ids[:15])
    assert counts == {"big": 6, "small": 3, "other": 6}


async def test_no_lane_starves(autojump_clock: MockClock) -> None:
    provider = Script()
    shop = Workshop(guard("p", provider, Limits(20, rates=(Rate(1, 1.0),))))
    async with shop.running():
        shop.put(*names("bulk-", 500), dispatch="bulk", priority="bulk")
        shop.put(*names("normal-", 500), dispatch="normal", priority="normal")
        shop.put(*names("high-", 500), dispatch="high", priority="high")
        await trio.sleep(250)
        shop.inbox.empty()
    counts = Counter(name.split("-")[0] for name in provider.ids[:210])
    assert counts == {"high": 160, "normal": 40, "bulk": 10}


# Several providers


async def test_a_provider_that_is_away_holds_no_message_back(autojump_clock: MockClock) -> None:
    away, there = Script(), Script(1.0)
    first = guard("first", away, Limits(5))
    shop = Workshop(route(first, guard("second", there, Limits(5))))
    async with shop.running():
        first.apply(Limits(5, paused=True))
        shop.put(*names("m", 20))
        await shop.answered(20)
    assert away.ids == []
    assert trio.current_time() == pytest.approx(4)


async def test_what_waits_for_one_provider_is_passed_by_by_what_another_can_carry(
    autojump_clock: MockClock,
) -> None:
    only, both = Script(), Script()
    broken = guard("only", only, Limits(5, paused=True))
    shop = Workshop(route(broken, guard("both", both)))
    async with shop.running():
        [doubtful] = shop.put("doubtful")
        job = taken(shop)
        assert job.permit is not None
        job.permit.guard.release(job.permit)
        doubtful.at, doubtful.in_doubt = "only", True
        shop.inbox.give_back(doubtful)
        shop.put("other")
        await shop.answered(1)
        assert shop.providers() == {"other": "both"}
        broken.apply(Limits(5))
        await shop.answered(2)
    assert shop.providers()["doubtful"] == "only"


async def test_weights_share_the_load_and_a_slow_one_holds_up_nobody(
    autojump_clock: MockClock,
) -> None:
    slow, quick = Script(100.0), Script(1.0)
    shop = Workshop(
        Route(
            [
                Choice(guard("slow", slow, Limits(2, timeout=200)), 3),
                Choice(guard("quick", quick, ONE), 1),
            ]
        )
    )
    async with shop.running():
        shop.put(*names("m", 60))
        await trio.sleep(50.5)
        assert (len(slow.ids), len(quick.ids)) == (2, 51)
        shop.inbox.empty()


# No moment is lost


@pytest.mark.parametrize("workers", [1, 2, 7])
async def test_a_provider_is_never_idle_while_there_is_work(
    workers: int, autojump_clock: MockClock
) -> None:
    provider = Script(2.0)
    shop = Workshop(guard("p", provider, Limits(workers)))
    async with shop.running():
        shop.put(*names("m", 70))
        await shop.answered(70)
    assert trio.current_time() == pytest.approx(2 * 70 / workers)


async def test_several_providers_are_never_idle_while_there_is_work(
    autojump_clock: MockClock,
) -> None:
    scripts = [Script(1.0), Script(2.0), Script(5.0)]
    guards = [guard(f"p{at}", script, Limits(3)) for at, script in enumerate(scripts)]
    shop = Workshop(Route([Choice(one, 1) for one in guards]))
    async with shop.running():
        shop.put(*names("m", 102))
        await shop.answered(102)
    assert trio.current_time() == pytest.approx(20)
    assert [len(script.ids) for script in scripts] == [60, 30, 12]


async def test_a_limit_s_places_are_used_as_soon_as_answers_free_them(
    autojump_clock: MockClock,
) -> None:
    provider = Script(0.001)
    shop = Workshop(guard("p", provider, Limits(20, rates=(Rate(10, 1.0),))))
    async with shop.running():
        shop.put(*names("m", 100))
        await shop.answered(100)
    begins = provider.times[::10]
    assert begins == pytest.approx([number * 1.001 for number in range(10)], abs=0.0005)


async def test_a_raised_limit_is_used_at_once(autojump_clock: MockClock) -> None:
    provider = Script()
    it = guard("p", provider, Limits(20, rates=(Rate(1, 60.0),)))
    shop = Workshop(it)
    async with shop.running():
        shop.put(*names("m", 10))
        await trio.sleep(5)
        it.apply(Limits(20))
        await shop.answered(10)
    assert trio.current_time() == pytest.approx(5)


async def test_what_is_due_again_goes_at_that_moment(autojump_clock: MockClock) -> None:
    provider = Script(a=[Unavailable("503")], b=[Unavailable("503")])
    shop = Workshop(guard("p", provider, Limits(2, retry=Retry(3, 7.25, 60))))
    async with shop.running():
        shop.put("a", "b")
        await shop.answered(2)
    assert provider.times == pytest.approx([0, 0, 7.25, 7.25])


async def test_what_expires_is_answered_at_that_moment_while_providers_are_paused(
    autojump_clock: MockClock,
) -> None:
    provider = Script()
    shop = Workshop(guard("p", provider, Limits(2, paused=True)))
    async with shop.running():
        shop.put("a", dispatch="a", expires_at=3.5)
        shop.put("b", dispatch="b", expires_at=9.25)
        await shop.answered(2)
    assert shop.times == {"a": 3.5, "b": 9.25}
    assert provider.calls == []


async def test_a_message_that_cannot_leave_in_time_for_its_limit_expires(
    autojump_clock: MockClock,
) -> None:
    provider = Script()
    shop = Workshop(guard("p", provider, Limits(5, rates=(Rate(1, 60.0),))))
    async with shop.running():
        shop.put("a", "b", "c", expires_at=90.0)
        await shop.answered(3)
    assert Counter(shop.outcomes().values()) == {"sent": 2, "expired": 1}
    assert trio.current_time() == pytest.approx(90)


async def test_a_paused_provider_that_goes_on_is_used_at_once(autojump_clock: MockClock) -> None:
    it = guard("p", Script(), Limits(3, paused=True))
    shop = Workshop(it)
    async with shop.running():
        shop.put("a")
        await trio.sleep(50)
        it.apply(Limits(3))
        await shop.answered(1)
    assert shop.times == {"a": 50}


async def test_a_probe_lets_everybody_through_the_moment_it_succeeds(
    autojump_clock: MockClock,
) -> None:
    provider = Script(1.0, a=[Unavailable("down")])
    limits = Limits(3, breaker=BreakerSettings(1, 10), retry=Retry(5, 0.1, 0.1))
    shop = Workshop(guard("p", provider, limits))
    async with shop.running():
        shop.put("a")
        await trio.sleep(5)
        shop.put("b", "c", "d")
        await shop.answered(4)
    assert provider.times == pytest.approx([0, 11, 12, 12, 12])


async def test_a_drain_ends_with_its_last_call(autojump_clock: MockClock) -> None:
    provider = Script(3.0)
    shop = Workshop(guard("p", provider, ONE))
    async with shop.running():
        shop.put("a", "b", "c")
    assert trio.current_time() == pytest.approx(9)
    assert len(shop.receipts) == 3


async def test_a_drain_ends_with_the_expiry_of_the_last_message(autojump_clock: MockClock) -> None:
    shop = Workshop(guard("p", Script(), Limits(4, paused=True)))
    async with shop.running():
        shop.put("a", expires_at=6.0)
    assert trio.current_time() == pytest.approx(6)
    assert shop.outcomes() == {"a": "expired"}


# Turns


async def test_one_number_is_never_called_twice_at_once_and_others_pass_by(
    autojump_clock: MockClock,
) -> None:
    provider = Script(2.0)
    provider.one_at_a_time = True
    shop = Workshop(guard("p", provider, Limits(5)))
    async with shop.running():
        shop.put("a1", "a2", "a3", address="A")
        shop.put("b1", address="B", dispatch="b")
        shop.put("c1", "c2", address="C", dispatch="c")
        await shop.answered(6)
    starts = dict(zip(provider.ids, provider.times, strict=True))
    assert starts == {"a1": 0, "b1": 0, "c1": 0, "c2": 2, "a2": 2, "a3": 4}


async def test_a_turn_is_shared_by_all_channels_of_a_provider(autojump_clock: MockClock) -> None:
    provider = Script(2.0)
    provider.one_at_a_time = True
    it = guard("p", provider, Limits(5))
    one, other = Workshop(it), Workshop(it, channel="voice")
    async with one.running(), other.running():
        one.put("a", address="A")
        other.put("b", address="A")
        await wait_all_tasks_blocked()
        other.close()
        await one.answered(1)
        await other.answered(1)
    assert sorted(provider.times) == [0, 2]


async def test_what_waits_for_its_turn_may_expire(autojump_clock: MockClock) -> None:
    provider = Script(20.0)
    provider.one_at_a_time = True
    shop = Workshop(guard("p", provider, Limits(5)))
    async with shop.running():
        shop.put("a", address="A")
        shop.put("b", address="A", dispatch="b", expires_at=5.0)
        await shop.answered(2)
    assert shop.times == {"b": 5, "a": 20}
    assert provider.ids == ["a"]


async def test_a_turn_that_was_waited_for_keeps_its_priority(autojump_clock: MockClock) -> None:
    provider = Script(2.0)
    provider.one_at_a_time = True
    shop = Workshop(guard("p", provider, ONE))
    async with shop.running():
        shop.put("a1", "a2", address="A", priority="bulk")
        await trio.sleep(1)
        shop.put("b", address="B", dispatch="b", priority="high")
        await shop.answered(3)
    assert provider.ids == ["a1", "b", "a2"]


# A channel that refuses


async def test_a_channel_that_refuses_answers_all_without_a_call(
    autojump_clock: MockClock,
) -> None:
    provider = Script(5.0)
    provider.one_at_a_time = True
    shop = Workshop(guard("p", provider, Limits(3)))
    async with shop.running():
        shop.put("a", "b", address="A")
        shop.put("c", address="C", dispatch="c", priority="bulk")
        await trio.sleep(1)
        shop.scheduler.refuses = True
        shop.put("d", "e", dispatch="d")
        await shop.answered(2)
        assert set(shop.reasons()) == {"d", "e"}
        await shop.answered(5)
    assert shop.reasons() == {
        "d": "channel-down",
        "e": "channel-down",
        "a": "accepted",
        "b": "channel-down",
        "c": "accepted",
    }
    assert sorted(provider.ids) == ["a", "c"]


# A provider of two channels


async def test_two_channels_share_a_provider_and_neither_starves(
    autojump_clock: MockClock,
) -> None:
    provider = Script(1.0)
    it = guard("p", provider, Limits(2))
    one, other = Workshop(it), Workshop(it, channel="voice")
    async with one.running(), other.running():
        one.put(*names("one-", 100))
        await trio.sleep(10.5)
        other.put(*names("other-", 100))
        await trio.sleep(30)
        assert len(one.receipts) + len(other.receipts) == 80
        assert 10 < len(other.receipts) < 50
        one.inbox.empty()
        other.inbox.empty()
    assert provider.most_open == 2


async def test_two_channels_never_leave_a_shared_provider_idle(autojump_clock: MockClock) -> None:
    provider = Script(1.0)
    it = guard("p", provider, Limits(3))
    one, other = Workshop(it), Workshop(it, channel="voice")
    async with one.running(), other.running():
        one.put(*names("one-", 30))
        other.put(*names("other-", 60))
        await one.answered(30)
        await other.answered(60)
    assert trio.current_time() == pytest.approx(30)


async def test_starts_follow_each_other_without_a_gap(autojump_clock: MockClock) -> None:
    provider = Script(0.5, m3=[Connects(0.25, 0.25)])
    shop = Workshop(guard("p", provider, ONE))
    async with shop.running():
        shop.put(*names("m", 10))
        await shop.answered(10)
    assert all(after - before <= 0.75 for before, after in pairwise(provider.times))
    assert trio.current_time() == pytest.approx(5)
    assert shop.inbox.next_event == inf
