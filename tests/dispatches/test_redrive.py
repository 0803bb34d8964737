"""Driving a dispatch again when the journal is away, the caller hangs up, or somebody else does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from carillon.dispatches.planner import DispatchPolicy, Ports
from carillon.dispatches.service import DispatchService
from carillon.dispatches.snapshot import parse_request
from carillon.handlebars import Engine
from carillon.messages.commands import SendCommand
from carillon.messages.errors import Conflict, JournalUnavailable, Stopping, TooManyDispatches
from carillon.messages.events import DispatchEnded, Event
from carillon.messages.model import Document
from carillon.messages.ports.directory import Files
from carillon.messages.ports.records import Pending, RecordFilter, Unfinished
from tests.dispatches.fakes import FakeDirectory, FakeJournal, FakePost, FakeRecovery

FAILED = RecordFilter(outcomes=["failed"])
REQUEST = (
    '{"command":{"channels":["sms"],"recipients":[],"templateId":"t"},'
    '"template":{"smsMessage":"Hello"},"ends":null,"origin":null}'
)


class EndedJournal(FakeJournal):
    """Knows a dispatch that has ended, of which two deliveries failed."""

    def __init__(self, recovery: FakeRecovery) -> None:
        super().__init__()
        self._recovery = recovery
        self.driven = 0

    async def redrive(self, dispatch_id: str, wanted: RecordFilter) -> int:
        await trio.sleep(1)
        self._write()
        self.driven += 1
        found = Unfinished(dispatch_id, ["sms"], False, {"sent": 1}, {})
        self._recovery.dispatches = [found]
        self._recovery.requests[dispatch_id] = REQUEST
        self._recovery.left = {"sms": [Pending(f"user/{one}", one, [], 1) for one in "ab"]}
        return 2


class Archive(FakeRecovery):
    """Keeps the request of what has ended; `away` says how often it cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        self.away = 0

    async def request(self, dispatch_id: str) -> str | None:
        await trio.lowlevel.checkpoint()
        return REQUEST if dispatch_id == "d" else None

    async def find_unfinished(self, dispatch_id: str) -> Unfinished | None:
        if self.away:
            self.away -= 1
            raise JournalUnavailable("away")
        return await super().find_unfinished(dispatch_id)


class World:
    """A service with fakes all around."""

    def __init__(self, nursery: trio.Nursery, open_dispatches: int) -> None:
        self.recovery = Archive()
        self.journal = EndedJournal(self.recovery)
        self.post = FakePost()
        self.events: list[Event] = []
        rooms = Ports(
            FakeDirectory(),
            cast(Files, None),
            self.journal,
            self.recovery,
            self.post,
            Engine(),
            self.events.append,
        )
        rules = DispatchPolicy(["sms"], {"sms": "Shop"}, open_dispatches=open_dispatches)
        self.dispatcher = DispatchService(rooms, rules, nursery)

    @property
    def ends(self) -> int:
        return sum(isinstance(event, DispatchEnded) for event in self.events)


@asynccontextmanager
async def world(open_dispatches: int = 10) -> AsyncIterator[World]:
    """It is closed and idle after the body, so that nothing was forgotten."""
    async with trio.open_nursery() as nursery:
        it = World(nursery, open_dispatches)
        yield it
        it.dispatcher.close()
        with trio.fail_after(60):
            await it.dispatcher.idle()


def test_the_request_is_one() -> None:
    template: Document = {"smsMessage": "Hello"}
    assert parse_request(REQUEST).template == template


async def test_what_was_made_pending_is_taken_up(autojump_clock: MockClock) -> None:
    async with world() as it:
        assert await it.dispatcher.redrive("d", FAILED) == 2
    assert sorted(it.journal.closed) == ["d"]
    assert it.ends == 1


async def test_only_one_at_a_time_drives_it(autojump_clock: MockClock) -> None:
    refused = 0

    async def drive(dispatcher: DispatchService) -> None:
        nonlocal refused
        try:
            await dispatcher.redrive("d", FAILED)
        except Conflict:
            refused += 1

    async with world() as it, trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(drive, it.dispatcher)
    assert (refused, it.journal.driven, it.ends) == (4, 1, 1)


@pytest.mark.parametrize("patience", [0.0, 0.5])
async def test_it_is_taken_up_though_its_caller_hung_up(
    patience: float, autojump_clock: MockClock
) -> None:
    async with world() as it:
        with trio.move_on_after(patience):
            await it.dispatcher.redrive("d", FAILED)
    assert it.ends == it.journal.driven == 1


async def test_what_cannot_be_read_at_once_is_read_later(autojump_clock: MockClock) -> None:
    async with world() as it:
        it.recovery.away = 3
        assert await it.dispatcher.redrive("d", FAILED) == 2
    assert it.ends == 1


async def test_what_cannot_be_written_is_told_and_may_be_tried_again(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        it.journal.broken = True
        with pytest.raises(JournalUnavailable):
            await it.dispatcher.redrive("d", FAILED)
        assert it.dispatcher.running("d") is None
        it.journal.broken = False
        assert await it.dispatcher.redrive("d", FAILED) == 2


async def test_what_was_erased_is_told_and_holds_no_place(autojump_clock: MockClock) -> None:
    async with world(open_dispatches=1) as it:
        for _ in range(3):
            with pytest.raises(Conflict, match="keepContent"):
                await it.dispatcher.redrive("erased", FAILED)
        assert await it.dispatcher.redrive("d", FAILED) == 2


async def test_it_counts_as_open_until_it_has_ended(autojump_clock: MockClock) -> None:
    async with world(open_dispatches=1) as it:
        it.post.full = True
        await it.dispatcher.redrive("d", FAILED)
        with pytest.raises(TooManyDispatches):
            await it.dispatcher.redrive("another", FAILED)
        it.post.full = False


async def test_it_counts_among_the_dispatches_of_whoever_asked_for_it(
    autojump_clock: MockClock,
) -> None:
    command = SendCommand.model_validate(
        {"channels": ["sms"], "recipients": ["u"], "messageTitle": "", "messageContent": "x"}
    )
    async with world(open_dispatches=1) as it:
        it.post.full = True
        await it.dispatcher.redrive("d", FAILED, caller="a")
        with pytest.raises(TooManyDispatches):
            await it.dispatcher.accept(command, caller="a")
        await it.dispatcher.accept(command, caller="b")  # whose part of the places is free
        it.post.full = False


async def test_a_service_that_stops_drives_nothing_again(autojump_clock: MockClock) -> None:
    async with world() as it:
        it.dispatcher.close()
        with pytest.raises(Stopping):
            await it.dispatcher.redrive("d", FAILED)
    assert it.journal.driven == 0


class Step:
    """What is to be done first; it may fail."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.done = 0
        self._failure = failure

    async def __call__(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._failure is not None:
            raise self._failure
        self.done += 1


async def test_what_is_refused_takes_no_first_step(autojump_clock: MockClock) -> None:
    step = Step()
    async with world(open_dispatches=1) as it:
        with pytest.raises(Conflict):
            await it.dispatcher.redrive("erased", FAILED, step)
        it.post.full = True
        await it.dispatcher.redrive("d", FAILED)
        with pytest.raises(TooManyDispatches):
            await it.dispatcher.redrive("another", FAILED, step)
        it.post.full = False
    async with world() as it:
        it.dispatcher.close()
        with pytest.raises(Stopping):
            await it.dispatcher.redrive("d", FAILED, step)
    assert step.done == 0


async def test_nothing_is_sent_again_without_the_first_step(autojump_clock: MockClock) -> None:
    async with world() as it:
        with pytest.raises(JournalUnavailable, match="audit"):
            await it.dispatcher.redrive("d", FAILED, Step(JournalUnavailable("the audit")))
        assert it.journal.driven == 0
        step = Step()
        assert await it.dispatcher.redrive("d", FAILED, step) == 2
        assert (step.done, it.journal.driven) == (1, 1)


async def test_nothing_is_cancelled_without_the_first_step(autojump_clock: MockClock) -> None:
    step = Step()
    async with world() as it:
        with pytest.raises(JournalUnavailable, match="audit"):
            await it.dispatcher.cancel("elsewhere", Step(JournalUnavailable("the audit")))
        assert it.journal.cancelled == []
        await it.dispatcher.cancel("elsewhere", step)
        assert it.journal.cancelled == ["elsewhere"]
    assert step.done == 1
