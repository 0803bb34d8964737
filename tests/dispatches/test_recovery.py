"""What an earlier process left is read again, composed anew, and told where that is impossible."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from carillon.dispatches.compose import Composer
from carillon.dispatches.recovery import PendingDelivery, PendingReader
from carillon.dispatches.render import Texts, plain_source
from carillon.handlebars import Engine
from carillon.messages.events import DirectoryFailed, Event
from carillon.messages.model import Channel, Delivery, MailExtras, Receipt, UserFields, delivery_id
from carillon.messages.ports.records import PastAttempt, Pending
from tests.dispatches.fakes import FakeDirectory, FakeRecovery


class World:
    """The leftovers of one channel."""

    def __init__(self, *pending: Pending, refusal: str | None = None) -> None:
        channel: Channel = "email"
        self.recovery = FakeRecovery()
        self.recovery.left[channel] = list(pending)
        self.directory = FakeDirectory()
        self.events: list[Event] = []
        self.stop = trio.Event()
        texts = Texts(Engine(), plain_source("T", "C"), [channel], None)
        refusals = {} if refusal is None else {channel: refusal}
        fields = UserFields(email_address="_id")
        composer = Composer("d", texts, {}, fields, MailExtras(), refusals)
        self.left = PendingReader(
            channel,
            composer,
            self.recovery,
            self.directory,
            self.events.append,
            self.stop,
        )

    async def all(self, most: int = 100) -> Sequence[PendingDelivery]:
        found: list[PendingDelivery] = []
        while part := await self.left.next(most):
            found += part
        return found


def user(name: str, *attempts: PastAttempt, user_id: str = "") -> Pending:
    starts = attempts[-1].number if attempts else 0
    return Pending(f"user/{name}", user_id or name, attempts, starts)


def told(found: Sequence[PendingDelivery]) -> list[tuple[str, str]]:
    return [
        (one.item.user_id, "" if isinstance(one.item, Delivery) else one.item.reason)
        for one in found
    ]


async def test_what_is_pending_is_composed_again_a_part_at_a_time() -> None:
    world = World(*(user(f"u{number}@x") for number in range(5)))
    found = await world.all(2)
    assert told(found) == [(f"u{number}@x", "") for number in range(5)]
    [first, *_] = found
    assert isinstance(first.item, Delivery)
    assert first.item.id == delivery_id("d", "email", "user/u0@x")


async def test_the_id_that_was_asked_for_stays() -> None:
    [one] = await World(user("a@x", user_id="A-1")).all()
    assert one.item.user_id == "A-1"


async def test_a_user_who_is_gone_and_one_who_never_was_are_told() -> None:
    found = await World(user("xx"), Pending("listed/nobody", "nobody", ())).all()
    assert sorted(told(found)) == [("nobody", "user-not-found"), ("xx", "user-not-found")]


async def test_with_a_refusal_everything_is_told() -> None:
    [one] = await World(user("a@x"), refusal="The file is gone").all()
    assert isinstance(one.item, Receipt)
    assert (one.item.reason, one.item.error) == ("not-renderable", "The file is gone")


@pytest.mark.parametrize("result", [None, "unanswered"])
async def test_what_may_have_been_sent_is_in_doubt_when_it_cannot_be_composed(
    result: str | None,
) -> None:
    attempts = [PastAttempt(1, "p", "unavailable"), PastAttempt(2, "p", result)]  # type: ignore[arg-type]
    [one] = await World(user("xx", *attempts)).all()
    assert isinstance(one.item, Receipt)
    assert (one.item.outcome, one.item.reason) == ("in-doubt", "unknown-outcome")
    assert (one.item.provider, one.item.attempts) == ("p", 2)
    assert "User not found" in one.item.error


async def test_what_was_only_refused_for_now_is_a_plain_failure() -> None:
    [one] = await World(user("xx", PastAttempt(1, "p", "unavailable"))).all()
    assert isinstance(one.item, Receipt)
    assert (one.item.outcome, one.item.attempts) == ("failed", 1)


async def test_a_call_that_was_never_made_is_no_attempt() -> None:
    only = PastAttempt(1, "p", "unstarted")
    [one] = await World(user("xx", only)).all()
    assert isinstance(one.item, Receipt)
    assert (one.item.outcome, one.item.attempts, one.item.provider) == ("failed", 0, None)
    later = PastAttempt(2, "q", "unavailable")
    [one] = await World(user("xx", only, later, PastAttempt(3, "p", "unstarted"))).all()
    assert isinstance(one.item, Receipt)
    assert (one.item.outcome, one.item.attempts, one.item.provider) == ("failed", 1, "q")


async def test_a_directory_that_is_away_is_waited_for(autojump_clock: MockClock) -> None:
    world = World(user("a@x"))
    world.directory.failures = 7
    assert told(await world.all()) == [("a@x", "")]
    assert {type(event) for event in world.events} == {DirectoryFailed}


async def test_a_stop_ends_the_wait(autojump_clock: MockClock) -> None:
    world = World(user("a@x"))
    world.directory.failures = 10**6

    async def stop() -> None:
        await trio.sleep(60)
        world.stop.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop)
        assert await world.all() == []
    assert trio.current_time() == 60
