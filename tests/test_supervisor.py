"""Crashes lose nothing, poison fails alone, quarantine is one channel's, and a drain drains."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from carillon.actors.channel import ChannelSpec, Waiting
from carillon.actors.open_calls import GRACE
from carillon.actors.provider.breaker import BreakerSettings
from carillon.actors.provider.guard import Guard
from carillon.actors.provider.limits import Limits, Retry
from carillon.actors.provider.rate_limit import Rate
from carillon.actors.router import Choice, Route
from carillon.messages.events import ChannelQuarantined, Event, WorkerCrashed, WorkerStuck
from carillon.messages.model import Channel, Priority, Refused, Unavailable
from carillon.supervisor import TICK, Supervisor
from tests.actors.fakes import Answers, Breaks, Connects, Deaf, Log, Script, envelope, ignore

ONE = Limits(concurrency=1)
BUG = RuntimeError("bug")


def guard_of(name: str, provider: Script, limits: Limits = ONE) -> Guard:
    return Guard(name, provider, limits, ignore, draw=lambda: 1.0)


def spec(
    provider: Script,
    name: Channel = "sms",
    *,
    limits: Limits = ONE,
    max_restarts: int = 10,
    window: float = 60.0,
    parking: int = 1000,
) -> ChannelSpec:
    return ChannelSpec(
        name,
        Route([Choice(guard_of(name, provider, limits))]),
        capacity=100,
        parking=parking,
        max_restarts=max_restarts,
        window=window,
    )


class Office(Answers):
    """Posts messages and keeps their receipts."""

    def __init__(self, supervisor: Supervisor) -> None:
        super().__init__()
        self.supervisor = supervisor

    def post(
        self,
        *names: str,
        channel: Channel = "sms",
        priority: Priority = "normal",
        dispatch: str = "dispatch",
        expires_at: float = inf,
    ) -> None:
        envelopes = [
            envelope(
                name,
                self.reply,
                channel,
                dispatch=dispatch,
                priority=priority,
                expires_at=expires_at,
            )
            for name in names
        ]
        self.supervisor.put(channel, envelopes)


def office(
    *specs: ChannelSpec, events: list[Event] | None = None, log: Log | None = None
) -> Office:
    return Office(Supervisor(specs, ignore if events is None else events.append, log or Log()))


# Crashes


async def test_a_crash_keeps_the_message_and_its_order(autojump_clock: MockClock) -> None:
    events: list[Event] = []
    provider = Script(b=[BUG])
    it = office(spec(provider), events=events)
    async with it.supervisor.running(grace=5):
        it.post("a", "b", "c")
        await it.answered(3)
    assert it.outcomes() == {"a": "sent", "b": "sent", "c": "sent"}
    assert provider.ids == ["a", "b", "b", "c"]
    [crash] = [event for event in events if isinstance(event, WorkerCrashed)]
    assert crash.delivery_id == "b"


async def test_a_crash_leaves_siblings_untouched(autojump_clock: MockClock) -> None:
    provider = Script(a=[BUG], b=[5.0])
    it = office(spec(provider, limits=Limits(concurrency=2)))
    async with it.supervisor.running(grace=60):
        it.post("b", "a")
        await it.answered(2)
    assert it.outcomes() == {"a": "sent", "b": "sent"}
    assert provider.ids.count("b") == 1


async def test_a_crash_holds_up_no_other_message(autojump_clock: MockClock) -> None:
    """While its worker waits to be started again, the others see to what it gave back."""
    provider = Script(1.0, a=[BUG])
    channel = replace(spec(provider, limits=Limits(2)), first_delay=30.0, max_delay=30.0)
    it = office(channel)
    async with it.supervisor.running(grace=60):
        await wait_all_tasks_blocked()
        it.post("a")
        await it.answered(1)
        assert it.times == {"a": 1.0}
        states = sorted(one.state for one in it.supervisor.status()["sms"].workers)
        assert states == ["idle", "restarting"]


async def test_a_poison_message_fails_alone(autojump_clock: MockClock) -> None:
    provider = Script(b=[BUG] * 9)
    it = office(spec(provider))
    async with it.supervisor.running(grace=5):
        it.post("a", "b", "c")
        await it.answered(3)
    assert it.reasons() == {"a": "accepted", "b": "crashed", "c": "accepted"}
    assert provider.ids == ["a", "b", "b", "c"]


async def test_a_crash_after_bytes_left_is_in_doubt_and_not_repeated(
    autojump_clock: MockClock,
) -> None:
    provider = Script(a=[Breaks()])
    it = office(spec(provider))
    async with it.supervisor.running(grace=5):
        it.post("a", "b")
        await it.answered(2)
    assert it.outcomes() == {"a": "in-doubt", "b": "sent"}
    assert it.providers()["a"] == "sms"
    assert provider.ids == ["a", "b"]


async def test_a_crash_after_bytes_left_is_repeated_where_repeats_are_recognised(
    autojump_clock: MockClock,
) -> None:
    provider = Script(a=[Breaks()])
    it = office(spec(provider, limits=Limits(1, on_unknown_outcome="retry")))
    async with it.supervisor.running(grace=5):
        it.post("a")
        await it.answered(1)
    assert it.outcomes() == {"a": "sent"}
    assert provider.ids == ["a", "a"]


@pytest.mark.parametrize("then", [Refused("no"), Breaks(), BUG])
async def test_what_was_sent_before_a_crash_stays_in_doubt_until_it_is_accepted(
    then: Refused | Breaks | Exception, autojump_clock: MockClock
) -> None:
    provider = Script(a=[Breaks(), then])
    it = office(spec(provider, limits=Limits(1, on_unknown_outcome="retry")))
    async with it.supervisor.running(grace=5):
        it.post("a")
        await it.answered(1)
    assert it.outcomes() == {"a": "in-doubt"}


async def test_what_was_sent_before_a_crash_does_not_move_to_another_provider(
    autojump_clock: MockClock,
) -> None:
    first, second = Script(a=[Connects(1.0, Breaks())]), Script()
    limits = Limits(1, on_unknown_outcome="retry")
    guard = guard_of("first", first, limits)
    it = office(ChannelSpec("sms", Route([Choice(guard), Choice(guard_of("second", second))])))
    async with it.supervisor.running(grace=5):
        it.post("a")
        await trio.sleep(0.5)
        guard.apply(replace(limits, paused=True))
        await trio.sleep(20)
        guard.apply(limits)
        await it.answered(1)
    assert (it.providers(), second.ids) == ({"a": "first"}, [])


async def test_too_many_crashes_quarantine_one_channel_only(autojump_clock: MockClock) -> None:
    events: list[Event] = []
    broken = Script(**{name: [BUG] * 9 for name in "abcde"})
    it = office(
        spec(broken, "sms", limits=Limits(concurrency=2), max_restarts=2),
        spec(Script(), "email"),
        events=events,
    )
    async with it.supervisor.running(grace=5):
        it.post("a", "b", "c", "d", "e")
        it.post("x", channel="email")
        await it.answered(6)
        assert it.reasons().pop("x") == "accepted"
        assert set(it.reasons().values()) <= {"accepted", "crashed", "channel-down"}
        assert it.supervisor.status()["sms"].state == "quarantined"
        assert it.supervisor.status()["email"].state == "running"
        it.post("late")
        it.post("y", channel="email")
        await it.answered(8)
    assert it.reasons()["late"] == "channel-down"
    assert it.reasons()["y"] == "accepted"
    assert sum(isinstance(event, ChannelQuarantined) for event in events) == 1


async def test_calls_under_way_survive_the_quarantine(autojump_clock: MockClock) -> None:
    provider = Script(slow=[20.0], a=[BUG] * 9, b=[BUG] * 9)
    it = office(spec(provider, limits=Limits(2), max_restarts=1))
    async with it.supervisor.running(grace=60):
        it.post("slow", "a", "b")
        await it.answered(3)
    assert it.outcomes()["slow"] == "sent"


async def test_a_quarantined_channel_answers_what_is_due_again_and_keeps_doubts(
    autojump_clock: MockClock,
) -> None:
    provider = Script(late=[Unavailable("503")], a=[BUG] * 9)
    it = office(spec(provider, limits=Limits(1, retry=Retry(2, 30, 30)), max_restarts=0))
    async with it.supervisor.running(grace=60):
        it.post("late", "a")
        await it.answered(2)
    assert it.reasons() == {"a": "channel-down", "late": "channel-down"}
    assert it.times["late"] == pytest.approx(30)


async def test_a_quarantined_channel_can_be_revived(autojump_clock: MockClock) -> None:
    provider = Script(a=[BUG] * 2)
    it = office(spec(provider, max_restarts=0))
    async with it.supervisor.running(grace=5):
        it.post("a", "b")
        await it.answered(2)
        it.supervisor.revive("sms")
        it.post("c")
        await it.answered(3)
        status = it.supervisor.status()["sms"]
        assert (status.state, status.restarts, status.recent_restarts) == ("running", 1, 0)
        with pytest.raises(KeyError):
            it.supervisor.revive("voice")
    assert it.reasons() == {"a": "channel-down", "b": "channel-down", "c": "accepted"}


async def test_old_crashes_are_forgiven(autojump_clock: MockClock) -> None:
    provider = Script(**{name: [BUG] for name in "abc"})
    it = office(spec(provider, max_restarts=1, window=30))
    async with it.supervisor.running(grace=5):
        for number, name in enumerate("abc", start=1):
            it.post(name)
            await it.answered(number)
            await trio.sleep(31)
        assert it.supervisor.status()["sms"].state == "running"
    assert set(it.outcomes().values()) == {"sent"}


# Channels beside each other


async def test_a_stalled_channel_holds_up_no_other(autojump_clock: MockClock) -> None:
    stalled = Script(**{name: [1000.0] for name in "abcd"})
    it = office(spec(stalled, "sms", limits=Limits(1, timeout=2000)), spec(Script(), "email"))
    async with it.supervisor.running(grace=0):
        it.post(*"abcd", *(f"m{number}" for number in range(500)))
        with trio.move_on_after(5):
            await it.supervisor.wait_for_capacity("sms", "dispatch", inf)
        it.post("x", channel="email")
        await it.answered(1)
        assert it.outcomes() == {"x": "sent"}
        assert trio.current_time() == pytest.approx(5)


async def test_a_message_that_waits_long_lets_others_pass(autojump_clock: MockClock) -> None:
    provider = Script(a=[Unavailable("503")])
    it = office(spec(provider, limits=Limits(1, retry=Retry(2, 20, 60))))
    async with it.supervisor.running(grace=60):
        it.post("a", "b")
        await it.answered(2)
    assert provider.ids == ["a", "b", "a"]


async def test_messages_expire_within_a_tick_while_every_worker_is_busy(
    autojump_clock: MockClock,
) -> None:
    it = office(spec(Script(20.0)))
    async with it.supervisor.running(grace=60):
        it.post("busy")
        await trio.sleep(0.4)
        it.post("a", dispatch="a", expires_at=3.3)
        it.post("b", dispatch="b", expires_at=7.9, priority="high")
        await it.answered(2)
        assert it.reasons() == {"a": "expired", "b": "expired"}
    assert 3.3 <= it.times["a"] <= 3.3 + TICK
    assert 7.9 <= it.times["b"] <= 7.9 + TICK


# The end


async def test_a_drain_delivers_what_is_queued(autojump_clock: MockClock) -> None:
    provider = Script(1.0)
    it = office(spec(provider))
    async with it.supervisor.running(grace=10):
        it.post("a", "b", "c")
    assert it.outcomes() == {"a": "sent", "b": "sent", "c": "sent"}
    assert trio.current_time() == pytest.approx(3)


async def test_a_drain_waits_for_what_is_due_again_in_time(autojump_clock: MockClock) -> None:
    provider = Script(a=[Unavailable("503")], b=[Unavailable("503"), Unavailable("503")])
    it = office(spec(provider, limits=Limits(3, retry=Retry(3, 8, 8))))
    async with it.supervisor.running(grace=10):
        it.post("a", "b", "c")
    assert it.reasons() == {"a": "accepted", "c": "accepted"}  # b stays pending
    assert trio.current_time() == pytest.approx(10)


async def test_what_is_left_after_the_drain_is_told_apart(autojump_clock: MockClock) -> None:
    provider = Script(a=[1000.0], b=[Connects(1000.0)])
    log = Log()
    it = office(spec(provider, limits=Limits(2, timeout=2000)), log=log)
    async with it.supervisor.running(grace=3):
        it.post("a", "b", "c")
        await wait_all_tasks_blocked()
    assert trio.current_time() == pytest.approx(3)
    assert it.reasons() == {"a": "unknown-outcome"}  # b and c stay pending
    assert it.providers()["a"] == "sms"
    assert {(one.key, one.result) for one in log.ends} == {("user/b", "unstarted")}
    it.post("d")
    assert "d" not in it.reasons()


async def test_halting_leaves_what_was_not_sent_pending(autojump_clock: MockClock) -> None:
    provider = Script(a=[1000.0], b=[Unavailable("503")], c=[Connects(1000.0)])
    limits = Limits(3, timeout=2000, retry=Retry(2, 50, 60))
    it = office(spec(provider, limits=limits))
    async with it.supervisor.running(grace=100):
        it.post("a", "b", "c")
        await trio.sleep(1)
        await it.supervisor.halt()
        assert it.reasons() == {"a": "unknown-outcome"}
    assert trio.current_time() == pytest.approx(1)


async def test_halting_keeps_an_earlier_doubt(autojump_clock: MockClock) -> None:
    provider = Script(a=[60.0])
    limits = Limits(1, timeout=5, retry=Retry(2, 50, 60), on_unknown_outcome="retry")
    log = Log()
    it = office(spec(provider, limits=limits), log=log)
    async with it.supervisor.running(grace=100):
        it.post("a")
        await trio.sleep(10)
        await it.supervisor.halt()
    assert it.outcomes() == {}  # the next start repeats it, and knows why it must
    assert [(one.number, one.result) for one in log.ends] == [(1, "unanswered")]


async def test_a_bug_in_the_body_ends_everything(autojump_clock: MockClock) -> None:
    it = office(spec(Script()))
    with pytest.RaisesGroup(KeyError):
        async with it.supervisor.running(grace=5):
            it.post("a")
            raise KeyError
    assert it.receipts == {}  # it stays pending


# As many workers as calls may be open


async def test_workers_follow_the_concurrency_up(autojump_clock: MockClock) -> None:
    provider = Script(10.0)
    channel = spec(provider)
    [choice] = channel.route.choices
    it = office(channel)
    async with it.supervisor.running(grace=60):
        it.post(*(f"m{number}" for number in range(8)))
        await trio.sleep(1)
        assert provider.open == 1
        choice.guard.apply(Limits(5))
        await trio.sleep(1)
        assert provider.open == 5
        assert len(it.supervisor.status()["sms"].workers) == 5
        await it.answered(8)
    assert trio.current_time() == pytest.approx(21)


async def test_workers_follow_the_concurrency_down_and_interrupt_nothing(
    autojump_clock: MockClock,
) -> None:
    provider = Script(10.0)
    channel = spec(provider, limits=Limits(4))
    [choice] = channel.route.choices
    it = office(channel)
    async with it.supervisor.running(grace=60):
        it.post(*(f"m{number}" for number in range(6)))
        await trio.sleep(1)
        choice.guard.apply(Limits(1))
        await trio.sleep(8)
        assert provider.open == 4
        await trio.sleep(5)
        assert provider.open == 1
        assert len(it.supervisor.status()["sms"].workers) == 1
        await it.answered(6)
    assert set(it.outcomes().values()) == {"sent"}
    assert trio.current_time() == pytest.approx(30)


async def test_idle_workers_follow_the_concurrency_and_do_not_pile_up(
    autojump_clock: MockClock,
) -> None:
    provider = Script(1.0)
    channel = spec(provider, limits=Limits(8))
    [choice] = channel.route.choices
    it = office(channel)
    async with it.supervisor.running(grace=60):
        await wait_all_tasks_blocked()
        for _ in range(20):
            choice.guard.apply(Limits(1))
            await wait_all_tasks_blocked()
            assert len(it.supervisor.status()["sms"].workers) == 1
            choice.guard.apply(Limits(8))
            await wait_all_tasks_blocked()
            assert len(it.supervisor.status()["sms"].workers) == 8
        assert trio.lowlevel.current_statistics().tasks_living < 30
        it.post(*(f"m{number}" for number in range(16)))
        await it.answered(16)
        assert trio.current_time() == pytest.approx(2)


async def test_workers_follow_the_providers_of_a_channel(autojump_clock: MockClock) -> None:
    first, second = guard_of("a", Script(5.0), Limits(2)), guard_of("b", Script(5.0), Limits(3))
    channel = ChannelSpec("sms", Route([Choice(first)]))
    it = office(channel)
    async with it.supervisor.running(grace=60):
        await wait_all_tasks_blocked()
        assert len(it.supervisor.status()["sms"].workers) == 2
        channel.route.arrange([Choice(first, 1), Choice(second, 1)])
        await wait_all_tasks_blocked()
        assert len(it.supervisor.status()["sms"].workers) == 5
        channel.route.arrange([Choice(second)])
        it.post(*(f"m{number}" for number in range(6)))
        await it.answered(6)
        assert len(it.supervisor.status()["sms"].workers) == 3
    assert set(it.providers().values()) == {"b"}


async def test_messages_move_on_when_their_provider_is_taken_out(
    autojump_clock: MockClock,
) -> None:
    first = Script(a=[Unavailable("503")], b=[50.0])
    limits = Limits(2, timeout=10, retry=Retry(3, 20, 20), on_unknown_outcome="retry")
    one, other = guard_of("one", first, limits), guard_of("other", Script(), limits)
    channel = ChannelSpec("sms", Route([Choice(one), Choice(other)]))
    it = office(channel)
    async with it.supervisor.running(grace=60):
        it.post("a", "b")
        await trio.sleep(1)
        channel.route.arrange([Choice(other)])
        it.post("c")
        await it.answered(3)
    assert it.providers() == {"c": "other", "a": "other", "b": "one"}


# Stuck workers


async def test_a_stuck_worker_is_noticed_and_replaced(autojump_clock: MockClock) -> None:
    events: list[Event] = []
    provider = Script(a=[Deaf(500.0)])
    it = office(spec(provider, limits=Limits(2, timeout=10)), events=events)
    async with it.supervisor.running(grace=1000):
        it.post("a")
        await it.answered(1)
        assert 15 < trio.current_time() <= 15 + 2 * TICK
        assert it.outcomes() == {"a": "in-doubt"}
        it.post("b", "c", "d")
        await it.answered(4)
        workers = it.supervisor.status()["sms"].workers
        assert [one.state for one in workers if not one.stuck].count("idle") == 2
    [stuck] = [event for event in events if isinstance(event, WorkerStuck)]
    assert (stuck.channel, stuck.provider, stuck.delivery_id) == ("sms", "sms", "a")
    assert stuck.seconds == pytest.approx(15, abs=2 * TICK)
    assert not any(isinstance(event, WorkerCrashed) for event in events)
    assert it.outcomes() == {"a": "in-doubt", "b": "sent", "c": "sent", "d": "sent"}
    assert it.supervisor.status()["sms"].restarts == 1


async def test_what_a_stuck_worker_held_is_repeated_where_repeats_are_recognised(
    autojump_clock: MockClock,
) -> None:
    provider = Script(a=[Deaf(500.0)])
    limits = Limits(2, timeout=10, on_unknown_outcome="retry")
    it = office(spec(provider, limits=limits))
    async with it.supervisor.running(grace=1000):
        it.post("a")
        await it.answered(1)
        assert trio.current_time() <= 15 + 2 * TICK
    assert (it.outcomes(), provider.ids) == ({"a": "sent"}, ["a", "a"])


async def test_what_a_stuck_worker_had_not_sent_is_tried_again(autojump_clock: MockClock) -> None:
    provider = Script(a=[Deaf(500.0, starts=False)])
    it = office(spec(provider, limits=Limits(2, timeout=10)))
    async with it.supervisor.running(grace=1000):
        it.post("a")
        await it.answered(1)
        assert trio.current_time() <= 15 + 2 * TICK
    assert (it.outcomes(), provider.ids) == ({"a": "sent"}, ["a"])


async def test_a_stuck_call_keeps_its_place_at_the_provider(autojump_clock: MockClock) -> None:
    provider = Script(1.0, a=[Deaf(100.0)])
    it = office(spec(provider, limits=Limits(1, timeout=10)))
    async with it.supervisor.running(grace=1000):
        it.post("a", "b")
        await it.answered(2)
    assert provider.most_open == 1
    assert provider.times == pytest.approx([0, 100])


async def test_a_stuck_probe_does_not_keep_its_breaker_half_open(
    autojump_clock: MockClock,
) -> None:
    provider = Script(1.0, x=[Unavailable("down")], a=[Deaf(20.0)])
    limits = Limits(3, timeout=10, breaker=BreakerSettings(1, 30), retry=Retry(9, 60, 60))
    it = office(spec(provider, limits=limits))
    async with it.supervisor.running(grace=1000):
        it.post("x")
        await trio.sleep(30)
        it.post("a")
        await trio.sleep(0.5)
        it.post("b")
        await it.answered(3, within=300)
    assert it.outcomes() == {"a": "in-doubt", "b": "sent", "x": "sent"}


async def test_long_calls_within_their_timeout_are_not_stuck(autojump_clock: MockClock) -> None:
    events: list[Event] = []
    provider = Script(290.0, a=[Connects(200.0, 90.0)])
    it = office(spec(provider, limits=Limits(1, timeout=300)), events=events)
    async with it.supervisor.running(grace=1000):
        it.post("a", "b")
        await it.answered(2, within=1000)
    assert events == []


async def test_nobody_is_stuck_because_the_process_stood_still(mock_clock: MockClock) -> None:
    """Its workers have had no turn yet: what they wait for may be there."""
    events: list[Event] = []
    it = office(spec(Script(20.0), limits=Limits(1, timeout=30)), events=events)
    async with it.supervisor.running(grace=0):
        it.post("a")
        await wait_all_tasks_blocked()
        mock_clock.jump(3600.0)
        await wait_all_tasks_blocked()
        assert not [event for event in events if isinstance(event, WorkerStuck)]
        mock_clock.jump(GRACE)
        await wait_all_tasks_blocked()
    assert not [event for event in events if isinstance(event, WorkerStuck)]


# What it tells


async def test_status_tells_what_waits_and_what_each_worker_holds(
    autojump_clock: MockClock,
) -> None:
    provider = Script(10.0, late=[Unavailable("503")])
    it = office(spec(provider, limits=Limits(2, retry=Retry(2, 60, 60))))
    async with it.supervisor.running(grace=0):
        await wait_all_tasks_blocked()
        idle = it.supervisor.status()["sms"]
        assert [one.state for one in idle.workers] == ["idle", "idle"]
        it.post("late")
        await trio.sleep(11)
        it.post("a", "b", "c", "d", "e")
        await trio.sleep(3)
        now = it.supervisor.status()["sms"]
    assert (now.state, now.depth, now.capacity, now.parked) == ("running", 4, 100, 1)
    assert (now.restarts, now.recent_restarts, now.max_restarts, now.window) == (0, 0, 10, 60)
    held = {(one.state, one.delivery_id, one.provider, one.held_for) for one in now.workers}
    assert held == {("working", "a", "sms", 3.0), ("working", "b", "sms", 3.0)}


async def test_status_tells_restarts(autojump_clock: MockClock) -> None:
    it = office(spec(Script(a=[BUG], b=[BUG]), window=30))
    async with it.supervisor.running(grace=5):
        it.post("a")
        await it.answered(1)
        await trio.sleep(20)
        it.post("b")
        await it.answered(2)
        await trio.sleep(15)
        now = it.supervisor.status()["sms"]
    assert (now.restarts, now.recent_restarts) == (2, 1)


async def test_waiting_tells_how_many_wait_for_which_provider_and_how_long(
    autojump_clock: MockClock,
) -> None:
    limited = Limits(1, rates=(Rate(1, 1000.0),))
    first, second = guard_of("first", Script(), limited), guard_of("second", Script(), limited)
    sms = ChannelSpec("sms", Route([Choice(first), Choice(second)]))
    voice = ChannelSpec("voice", Route([Choice(second)]))
    it = office(sms, voice)
    async with it.supervisor.running(grace=0):
        await wait_all_tasks_blocked()
        assert it.supervisor.waiting() == {}
        it.post("a", "b", "c")
        await trio.sleep(10)
        it.post("d", dispatch="d", priority="bulk")
        await trio.sleep(5)
        assert it.supervisor.waiting() == {"first": Waiting(3, 15.0)}
        it.post("v", "w", channel="voice")
        first.apply(replace(limited, paused=True))
        await trio.sleep(5)
        assert it.supervisor.waiting() == {"second": Waiting(4, 20.0)}
