"""A bug fails one delivery, or one dispatch, which ends then; nobody beside or behind it waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from carillon.dispatches.dispatch import Dispatch
from carillon.dispatches.planner import DispatchPolicy, Ports
from carillon.dispatches.render import Texts
from carillon.dispatches.service import Conclude, DispatchService
from carillon.dispatches.snapshot import Request
from carillon.handlebars import Engine
from carillon.messages.commands import parse_send
from carillon.messages.errors import TooManyDispatches
from carillon.messages.events import DeliveryCrashed, DispatchCrashed, Event
from carillon.messages.model import Audience, Channel, Content, Cursor, Document, Page, Recipient
from carillon.messages.ports.directory import Files
from carillon.messages.ports.journal import Enrolment, Progress
from carillon.messages.ports.records import PastAttempt, Pending, Unfinished
from tests.dispatches.fakes import FakeDirectory, FakeJournal, FakePost, FakeRecovery

CRASH = "An internal error cut it short; the log has the details"


class Directory(FakeDirectory):
    """Users with an address; reading raises a bug from a place on."""

    def __init__(self) -> None:
        super().__init__()
        self.breaks_at: int | None = None

    async def page(self, audience: Audience, cursor: Cursor) -> Page:
        page = await super().page(audience, cursor)
        if self.breaks_at is not None and cursor.position >= self.breaks_at:
            raise KeyError("a bug")
        return page

    async def users(self, keys: Sequence[str]) -> Sequence[Recipient]:
        if self.breaks_at is not None:
            raise KeyError("a bug")
        return await super().users(keys)


class Journal(FakeJournal):
    """Gives what is pending to a recovery, as a store would."""

    def __init__(self, recovery: FakeRecovery) -> None:
        super().__init__()
        self.recovery = recovery

    async def enrol(
        self, dispatch_id: str, rows: Sequence[Enrolment], progress: Progress
    ) -> Sequence[bool]:
        new = await super().enrol(dispatch_id, rows, progress)
        for row in rows:
            pending = Pending(row.key, row.user_id, [])
            self.recovery.left.setdefault(row.channel, []).append(pending)
        return new

    async def flush(self) -> None:
        await super().flush()
        answered = {one.key for one in self.receipts}
        for channel, rows in self.recovery.left.items():
            self.recovery.left[channel] = [one for one in rows if one.key not in answered]


class World:
    """A service with fakes all around."""

    def __init__(self, nursery: trio.Nursery, conclude: Conclude | None, post: FakePost) -> None:
        self.recovery = FakeRecovery()
        self.journal = Journal(self.recovery)
        self.directory = Directory()
        self.post = post
        self.events: list[Event] = []
        rooms = Ports(
            self.directory,
            cast(Files, None),
            self.journal,
            self.recovery,
            self.post,
            Engine(),
            self.events.append,
        )
        rules = DispatchPolicy(["push"], {}, open_dispatches=1)
        self.dispatcher = DispatchService(rooms, rules, nursery, conclude)

    async def send(self, *names: str) -> Dispatch:
        return await self.dispatcher.accept(
            parse_send(
                {
                    "channels": ["push"],
                    "recipients": list(names),
                    "messageTitle": "T",
                    "messageContent": "Hello {{user.name}}",
                }
            )
        )

    def outcomes(self) -> dict[str, tuple[str, str]]:
        return {one.user_id: (one.outcome, one.reason) for one in self.journal.receipts}

    @property
    def crashes(self) -> list[str]:
        return [type(one.error).__name__ for one in self.events if isinstance(one, DispatchCrashed)]


@asynccontextmanager
async def world(
    conclude: Conclude | None = None, post: FakePost | None = None
) -> AsyncIterator[World]:
    """It is closed and idle after the body, so that nothing was forgotten."""
    async with trio.open_nursery() as nursery:
        it = World(nursery, conclude, post or FakePost())
        yield it
        it.dispatcher.close()
        with trio.fail_after(60):
            await it.dispatcher.idle()


def many(number: int) -> list[str]:
    return [f"u{one:03}" for one in range(number)]


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody's device token is the `_id`."""
    monkeypatch.setattr(
        "carillon.messages.model.UserFields.address_of", lambda _self, _channel: "_id", raising=True
    )


async def test_what_raises_while_it_is_composed_fails_alone(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer = Texts.renderer

    def breaking(
        self: Texts, channel: Channel, *, short: bool = False
    ) -> Callable[[Document], Content]:
        render = renderer(self, channel, short=short)

        def breaks(user: Document) -> Content:
            if user["_id"] == "u001":
                raise OverflowError("int too large to convert to float")
            return render(user)

        return breaks

    monkeypatch.setattr(Texts, "renderer", breaking)
    async with world() as it:
        dispatch = await it.send(*many(60))
    assert it.outcomes()["u001"] == ("failed", "crashed")
    assert len(it.post.posted) == 59
    assert not dispatch.crashed
    [crash] = [one for one in it.events if isinstance(one, DeliveryCrashed)]
    assert isinstance(crash.error, OverflowError)
    assert it.journal.ends[dispatch.id].crash is None


async def test_a_dispatch_that_a_bug_cuts_short_ends_with_what_was_handed_over(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        it.directory.breaks_at = 1010  # behind what is read before it is accepted
        it.post.holds = True
        dispatch = await it.send(*many(1100))
        await trio.sleep(10)
        assert it.crashes == ["KeyError"]
        assert not dispatch.ended.is_set()
        with pytest.raises(TooManyDispatches):  # it is open until it has ended
            await it.send("another")
        assert it.dispatcher.running(dispatch.id) is dispatch
        for envelope in it.post.envelopes:
            envelope.end("sent", "accepted")
        await trio.sleep(1)
        assert it.dispatcher.running(dispatch.id) is None
    end = it.journal.ends[dispatch.id]
    assert (end.crash, end.is_read) == (CRASH, False)
    assert it.journal.closed[dispatch.id] == {"sent": len(it.post.envelopes)}
    assert dispatch.report().pending == 0


async def test_what_is_enrolled_and_not_handed_over_fails_with_its_dispatch(
    autojump_clock: MockClock,
) -> None:
    class Breaks(FakePost):
        async def wait_for_capacity(
            self, channel: Channel, dispatch_id: str, until: float, caller: str = ""
        ) -> int:
            if len(self.envelopes) > 20:
                it.recovery.left.setdefault("push", []).append(
                    Pending("user/open", "open", [PastAttempt(1, "p", None)], 1)
                )
                raise KeyError("a bug")
            return await super().wait_for_capacity(channel, dispatch_id, until, caller)

    async with world(post=Breaks()) as it:
        dispatch = await it.send(*many(400))
        await dispatch.ended.wait()
    assert it.outcomes()["open"] == ("in-doubt", "unknown-outcome")
    assert it.journal.ends[dispatch.id].crash == CRASH


async def test_what_cannot_go_on_after_a_restart_ends_and_does_not_come_again(
    autojump_clock: MockClock,
) -> None:
    left = [Pending("user/a", "a", [], 0), Pending("user/b", "b", [PastAttempt(1, "p", None)], 1)]
    for request in (
        "null",
        "[]",
        '{"command":1,"template":null,"ends":null,"origin":null}',
        broken(),
    ):
        async with world() as it:
            it.recovery.dispatches = [Unfinished("d", ["push"], False, {"sent": 1}, {})]
            it.recovery.requests["d"] = request
            it.recovery.left = {"push": left}
            await it.dispatcher.resume()
            await trio.sleep(1)
            assert it.dispatcher.running("d") is None
        assert set(it.outcomes()) == {"a", "b"}
        assert it.outcomes()["b"][0] == "in-doubt"
        assert it.journal.closed["d"] == {"sent": 1, "failed": 1, "in-doubt": 1}


def broken() -> str:
    """A request whose deadlines are none: what goes on with it meets a bug."""
    body = {"channels": ["push"], "recipients": [], "messageTitle": "T", "messageContent": "C"}
    text = Request(parse_send(body)).text()
    assert isinstance(text, str)
    return text.replace('"ends":null', '"ends":["a bug"]')


async def test_a_bug_while_users_are_read_again_ends_the_dispatch(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        it.directory.breaks_at = 0
        request = broken().replace('["a bug"]', "null")
        it.recovery.dispatches = [Unfinished("d", ["push"], False, {}, {})]
        it.recovery.requests["d"] = request
        it.recovery.left = {"push": [Pending("user/a", "a", [], 0)]}
        await it.dispatcher.resume()
        await trio.sleep(1)
    assert it.outcomes() == {"a": ("failed", "crashed")}
    assert it.journal.ends["d"].crash == CRASH


async def test_a_bug_while_its_end_is_told_keeps_no_dispatch_open(
    autojump_clock: MockClock,
) -> None:
    async def breaks(_: Dispatch) -> bool:
        raise KeyError("a bug")

    async with world(breaks) as it:
        dispatch = await it.send("a")
    assert it.crashes == ["KeyError"]
    assert it.journal.closed[dispatch.id] == {"sent": 1}
