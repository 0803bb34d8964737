"""Crashes lose nothing, poison fails alone, quarantine is one channel's, and a drain drains."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.guard import Guard, Limits, Retry
from actors.worker import Route
from messages.events import ChannelQuarantined, Event, WorkerCrashed
from messages.model import Accepted, Attempt, Channel, Delivery, Receipt, Unavailable
from providers.ports import Started
from supervisor import ChannelSpec, Supervisor
from tests.actors.fakes import Script, envelope, ignore


class CrashAfterStart:
    """A provider with a bug that strikes once bytes have left."""

    def __init__(self) -> None:
        self.calls = 0

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        await trio.lowlevel.checkpoint()
        self.calls += 1
        started()
        if self.calls == 1:
            raise RuntimeError("bug")
        return Accepted()

    def turn(self, delivery: Delivery) -> str | None:
        return None

    async def aclose(self) -> None:
        pass


def spec(
    provider: Script | CrashAfterStart,
    name: Channel = "sms",
    *,
    limits: Limits | None = None,
    capacity: int = 100,
    max_restarts: int = 10,
    window: float = 60.0,
) -> ChannelSpec:
    guard = Guard(name, provider, limits or Limits(concurrency=1), ignore, draw=lambda: 1.0)
    return ChannelSpec(
        name, Route([guard]), capacity=capacity, max_restarts=max_restarts, window=window
    )


class Office:
    """Posts messages and keeps their receipts."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.receipts: dict[str, Receipt] = {}
        self._news = trio.Event()

    def _reply(self, receipt: Receipt) -> None:
        self.receipts[receipt.delivery_id] = receipt
        self._news.set()
        self._news = trio.Event()

    async def post(self, *names: str, channel: Channel = "sms") -> None:
        for name in names:
            await self.supervisor.post(envelope(name, self._reply, channel))

    async def answered(self, number: int, within: float = 600) -> None:
        with trio.fail_after(within):
            while len(self.receipts) < number:
                await self._news.wait()

    def outcomes(self) -> dict[str, str]:
        return {name: one.outcome for name, one in self.receipts.items()}

    def reasons(self) -> dict[str, str]:
        return {name: one.reason for name, one in self.receipts.items()}


async def test_a_crash_keeps_the_message_and_its_order(autojump_clock: MockClock) -> None:
    events: list[Event] = []
    provider = Script(b=[RuntimeError("bug")])
    supervisor = Supervisor([spec(provider)], events.append)
    office = Office(supervisor)
    async with supervisor.running(grace=5):
        await office.post("a", "b", "c")
        await office.answered(3)
    assert office.outcomes() == {"a": "sent", "b": "sent", "c": "sent"}
    assert provider.ids == ["a", "b", "b", "c"]
    [crash] = [event for event in events if isinstance(event, WorkerCrashed)]
    assert crash.delivery_id == "b"


async def test_a_crash_leaves_siblings_untouched(autojump_clock: MockClock) -> None:
    provider = Script(a=[RuntimeError("bug")], b=[5.0])
    supervisor = Supervisor([spec(provider, limits=Limits(concurrency=2))], ignore)
    office = Office(supervisor)
    async with supervisor.running(grace=60):
        await office.post("b", "a")
        await office.answered(2)
    assert office.outcomes() == {"a": "sent", "b": "sent"}
    assert provider.ids.count("b") == 1


async def test_a_poison_message_fails_alone(autojump_clock: MockClock) -> None:
    provider = Script(b=[RuntimeError("bug")] * 9)
    supervisor = Supervisor([spec(provider)], ignore)
    office = Office(supervisor)
    async with supervisor.running(grace=5):
        await office.post("a", "b", "c")
        await office.answered(3)
    assert office.reasons() == {"a": "accepted", "b": "crashed", "c": "accepted"}
    assert provider.ids == ["a", "b", "b", "c"]


async def test_a_crash_after_bytes_left_is_in_doubt_and_not_repeated(
    autojump_clock: MockClock,
) -> None:
    provider = CrashAfterStart()
    supervisor = Supervisor([spec(provider)], ignore)
    office = Office(supervisor)
    async with supervisor.running(grace=5):
        await office.post("a", "b")
        await office.answered(2)
    assert office.outcomes() == {"a": "in-doubt", "b": "sent"}
    assert provider.calls == 2


async def test_a_crash_after_bytes_left_is_repeated_where_repeats_are_recognised(
    autojump_clock: MockClock,
) -> None:
    limits = Limits(concurrency=1, on_unknown_outcome="retry")
    supervisor = Supervisor([spec(CrashAfterStart(), limits=limits)], ignore)
    office = Office(supervisor)
    async with supervisor.running(grace=5):
        await office.post("a")
        await office.answered(1)
    assert office.outcomes() == {"a": "sent"}


async def test_too_many_crashes_quarantine_one_channel_only(autojump_clock: MockClock) -> None:
    events: list[Event] = []
    broken = Script(**{name: [RuntimeError("bug")] * 9 for name in "abcde"})
    supervisor = Supervisor(
        [
            spec(broken, "sms", limits=Limits(concurrency=2), max_restarts=2),
            spec(Script(), "email"),
        ],
        events.append,
    )
    office = Office(supervisor)
    async with supervisor.running(grace=5):
        await office.post("a", "b", "c", "d", "e")
        await office.post("x", channel="email")
        await office.answered(6)
        assert office.reasons().pop("x") == "accepted"
        assert set(office.reasons().values()) <= {"accepted", "crashed", "channel-down"}
        assert supervisor.status()["sms"].state == "quarantined"
        await office.post("late")
        await office.post("y", channel="email")
        await office.answered(8)
    assert office.reasons()["late"] == "channel-down"
    assert office.reasons()["y"] == "accepted"
    assert sum(isinstance(event, ChannelQuarantined) for event in events) == 1


async def test_calls_under_way_survive_the_quarantine(autojump_clock: MockClock) -> None:
    provider = Script(slow=[20.0], a=[RuntimeError("bug")] * 9, b=[RuntimeError("bug")] * 9)
    limits = Limits(concurrency=2)
    supervisor = Supervisor([spec(provider, limits=limits, max_restarts=1)], ignore)
    office = Office(supervisor)
    async with supervisor.running(grace=60):
        await office.post("slow", "a", "b")
        await office.answered(3)
    assert office.outcomes()["slow"] == "sent"


async def test_a_quarantined_channel_can_be_revived(autojump_clock: MockClock) -> None:
    provider = Script(a=[RuntimeError("bug")] * 2)
    supervisor = Supervisor([spec(provider, max_restarts=0)], ignore)
    office = Office(supervisor)
    async with supervisor.running(grace=5):
        await office.post("a", "b")
        await office.answered(2)
        supervisor.revive("sms")
        await office.post("c")
        await office.answered(3)
    assert office.reasons() == {"a": "channel-down", "b": "channel-down", "c": "accepted"}


async def test_old_crashes_are_forgiven(autojump_clock: MockClock) -> None:
    provider = Script(**{name: [RuntimeError("bug")] for name in "abc"})
    supervisor = Supervisor([spec(provider, max_restarts=1, window=30)], ignore)
    office = Office(supervisor)
    async with supervisor.running(grace=5):
        for number, name in enumerate("abc", start=1):
            await office.post(name)
            await office.answered(number)
            await trio.sleep(31)
        assert supervisor.status()["sms"].state == "running"
    assert set(office.outcomes().values()) == {"sent"}


async def test_a_full_channel_holds_up_no_other(autojump_clock: MockClock) -> None:
    stuck = Script(**{name: [1000.0] for name in "abcd"})
    supervisor = Supervisor(
        [spec(stuck, "sms", limits=Limits(1, timeout=2000), capacity=1), spec(Script(), "email")],
        ignore,
    )
    office = Office(supervisor)
    async with supervisor.running(grace=0):
        with trio.move_on_after(5):
            await office.post("a", "b", "c", "d")
        await office.post("x", channel="email")
        await office.answered(1)
    assert office.outcomes()["x"] == "sent"


async def test_a_message_that_waits_long_lets_others_pass(autojump_clock: MockClock) -> None:
    provider = Script(a=[Unavailable("503")])
    limits = Limits(concurrency=1, retry=Retry(attempts=2, first_delay=20, max_delay=60))
    supervisor = Supervisor([spec(provider, limits=limits)], ignore)
    office = Office(supervisor)
    async with supervisor.running(grace=60):
        await office.post("a", "b")
        await office.answered(2)
    assert provider.ids == ["a", "b", "a"]


async def test_a_drain_delivers_what_is_queued(autojump_clock: MockClock) -> None:
    provider = Script(1.0)
    supervisor = Supervisor([spec(provider)], ignore)
    office = Office(supervisor)
    async with supervisor.running(grace=10):
        await office.post("a", "b", "c")
    assert office.outcomes() == {"a": "sent", "b": "sent", "c": "sent"}
    assert trio.current_time() == pytest.approx(3)


async def test_what_is_left_after_the_drain_is_told_apart(autojump_clock: MockClock) -> None:
    provider = Script(a=[1000.0])
    supervisor = Supervisor([spec(provider, limits=Limits(1, timeout=2000))], ignore)
    office = Office(supervisor)
    async with supervisor.running(grace=3):
        await office.post("a", "b")
        await wait_all_tasks_blocked()
    assert trio.current_time() == pytest.approx(3)
    assert office.reasons() == {"a": "unknown-outcome", "b": "stopping"}
    await office.post("c")
    assert office.reasons()["c"] == "stopping"


async def test_halting_answers_everything_at_once(autojump_clock: MockClock) -> None:
    provider = Script(a=[1000.0], b=[Unavailable("503")])
    limits = Limits(2, timeout=2000, retry=Retry(attempts=2, first_delay=50, max_delay=60))
    supervisor = Supervisor([spec(provider, limits=limits)], ignore)
    office = Office(supervisor)
    async with supervisor.running(grace=100):
        await office.post("a", "b")
        await trio.sleep(1)
        await supervisor.halt()
        assert office.reasons() == {"a": "unknown-outcome", "b": "stopping"}
    assert trio.current_time() == pytest.approx(1)


async def test_a_bug_in_the_body_ends_everything(autojump_clock: MockClock) -> None:
    supervisor = Supervisor([spec(Script())], ignore)
    office = Office(supervisor)
    with pytest.RaisesGroup(KeyError):
        async with supervisor.running(grace=5):
            await office.post("a")
            raise KeyError
    assert len(office.receipts) == 1
