"""One registry knows all that is on its way here, whosever it is: nothing of it outlives a stop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from carillon.actors.lane import equal_weights
from carillon.dispatches.planner import DispatchPolicy, Ports
from carillon.dispatches.service import DispatchService
from carillon.dispatches.snapshot import Request
from carillon.handlebars import Engine
from carillon.messages.commands import SendCommand, parse_send
from carillon.messages.model import Audience, Channel, Cursor, Page, UserFields
from carillon.messages.ports.journal import Enrolment, Progress
from carillon.messages.ports.records import Pending, Unfinished
from carillon.messages.ports.work_sharing import Settled, Taken, Weigh
from tests.dispatches.fakes import FakeDirectory, FakeJournal, FakePost, FakeRecovery
from tests.dispatches.test_deadlines import NoFiles

ROWS = [Pending(f"user/{name}", name, ()) for name in ("00@x", "01@x")]
ROOM: Mapping[Channel, int] = {"email": 10}


def command(number: int = 2) -> SendCommand:
    """A mail to so many users."""
    recipients = [f"{one:02}@x" for one in range(number)]
    told = {"recipients": recipients, "messageTitle": "t", "messageContent": "c"}
    return parse_send({"channels": ["email"], **told})


class Gate:
    """While it is closed who comes waits."""

    def __init__(self) -> None:
        self.opens = trio.Event()
        self.opens.set()
        self.waiting = trio.Event()

    def close(self) -> None:
        self.opens, self.waiting = trio.Event(), trio.Event()

    async def passed(self) -> None:
        self.waiting.set()
        await self.opens.wait()


class SlowDirectory(FakeDirectory):
    """One that answers when it may."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    async def page(self, audience: Audience, cursor: Cursor) -> Page:
        await self._gate.passed()
        return await super().page(audience, cursor)


class SlowRecovery(FakeRecovery):
    """One that tells what is left when it may, once."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    async def unfinished(self, running: Collection[str] = ()) -> Sequence[Unfinished]:
        await self._gate.passed()
        left = [one for one in self.dispatches if one.id not in running]
        self.dispatches = []
        return left


class Offers:
    """A pool in which another replica has offered parts of dispatches; it gives when it may."""

    has_company = True
    replicas = 2

    def __init__(self, gate: Gate) -> None:
        self.offered: list[Taken] = []
        self._gate = gate

    async def take(self, room: Mapping[Channel, int], weigh: Weigh) -> Sequence[Taken]:
        await self._gate.passed()
        taken, self.offered = self.offered, []
        return taken

    async def offer(
        self, _dispatch_id: str, rows: Sequence[Enrolment], _progress: Progress
    ) -> Sequence[bool]:
        raise NotImplementedError

    async def elsewhere(self, _dispatch_id: str, _channel: Channel) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        return []

    async def settle(
        self, _dispatch_id: str, _channel: Channel, _keys: Sequence[str], _room: int
    ) -> Settled:
        await trio.lowlevel.checkpoint()
        return Settled([], [], 0)


class World:
    """A service with all its neighbours behind one gate."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.gate = Gate()
        self.post, self.journal = FakePost(), FakeJournal()
        self.recovery, self.pool = SlowRecovery(self.gate), Offers(self.gate)
        ports = Ports(
            SlowDirectory(self.gate),
            NoFiles(),
            self.journal,
            self.recovery,
            self.post,
            Engine(),
            lambda _: None,
            pool=self.pool,
        )
        rules = DispatchPolicy(["email"], {}, UserFields(email_address="_id"))
        self.service = DispatchService(ports, rules, nursery)

    def left(self, dispatch_id: str) -> None:
        """Another process has left a dispatch."""
        self.recovery.requests[dispatch_id] = str(Request(command()).text())
        self.recovery.left["email"] = list(ROWS)
        self.recovery.dispatches.append(unfinished(dispatch_id))

    def offered(self, dispatch_id: str) -> None:
        """Another replica offers deliveries of a dispatch."""
        self.recovery.requests[dispatch_id] = str(Request(command()).text())
        self.pool.offered.append(Taken(unfinished(dispatch_id), {"email": ROWS}))

    def stop(self) -> None:
        self.service.close()
        self.service.halt()
        self.service.suspend()


def unfinished(dispatch_id: str) -> Unfinished:
    return Unfinished(dispatch_id, ["email"], cancelled=False, counts={}, progress={})


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """What goes on in it has to end, and is told before that."""
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            yield World(nursery)


async def test_what_is_accepted_while_everything_is_suspended_is_left(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        it.post.holds = True  # as a channel that has stopped
        it.gate.close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.service.accept, command(60))
            await it.gate.waiting.wait()
            it.stop()
            it.gate.opens.set()
        await it.service.idle()
    assert it.journal.receipts == []
    assert it.journal.closed == {}


async def test_so_is_what_is_taken_up_meanwhile(autojump_clock: MockClock) -> None:
    async with world() as it:
        it.left("d")
        it.gate.close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.service.resume)
            await it.gate.waiting.wait()
            it.stop()
            it.gate.opens.set()
        await it.service.idle()
    assert it.post.posted == []
    assert it.journal.closed == {}


async def test_so_is_what_is_borrowed_meanwhile(autojump_clock: MockClock) -> None:
    async with world() as it:
        it.offered("d")
        it.post.holds = True
        it.gate.close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.service.borrow, ROOM, equal_weights)
            await it.gate.waiting.wait()
            it.stop()
            it.gate.opens.set()
    assert it.post.posted == []
    assert it.service.borrowed == frozenset()


async def test_a_part_is_known_as_long_as_it_is_on_its_way(autojump_clock: MockClock) -> None:
    async with world() as it:
        it.offered("d")
        it.post.holds = True
        await it.service.borrow(ROOM, equal_weights)
        await trio.sleep(1)
        assert it.service.borrowed == {"d"}
        assert it.service.running("d") is None
        for envelope in it.post.envelopes:
            envelope.end("sent", "accepted")
    assert it.service.borrowed == frozenset()
    assert it.post.posted == ["00@x", "01@x"]


@pytest.mark.parametrize("asked", ["here", "elsewhere"])
async def test_a_cancelled_dispatch_of_another_one_is_not_sent_on_here(
    autojump_clock: MockClock, asked: str
) -> None:
    async with world() as it:
        it.offered("d")
        it.post.holds = True
        await it.service.borrow(ROOM, equal_weights)
        await trio.sleep(1)
        if asked == "here":
            await it.service.cancel("d")
        else:
            it.service.cancelled_elsewhere("d")
    assert it.post.cancelled == ["d"]
    assert [one.outcome for one in it.journal.receipts] == ["cancelled"] * 2


async def test_who_was_taken_for_dead_leaves_all_of_it_and_goes_on_with_what_comes(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        it.post.holds = True
        it.offered("d")
        await it.service.borrow(ROOM, equal_weights)
        it.left("e")
        await it.service.resume()
        await trio.sleep(1)
        it.service.disown()
        assert sorted(it.post.forsaken) == ["d", "e"]
        await trio.sleep(1)
        assert (it.service.borrowed, it.service.running("e")) == (frozenset(), None)
        it.post.holds = False
        it.offered("f")
        await it.service.borrow(ROOM, equal_weights)
    assert [one.outcome for one in it.journal.receipts] == ["sent"] * 2
