"""A feed composes page by page, only as much as is asked for, and never loses anybody."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import trio
from trio.testing import MockClock

from messages.compose import Composer
from messages.events import DirectoryFailed, Event
from messages.feed import Feed, Item
from messages.model import Audience, Channel, Delivery, MailExtras, Receipt, UserFields
from messages.patience import Patience
from messages.render import Texts, plain_source
from messages.resolve import Pages
from messages.templates import Engine
from tests.messages.fakes import FakeDirectory


class World:
    """A feed over a directory that gives two users a page."""

    def __init__(
        self,
        names: Sequence[str],
        clusters: Sequence[str] = (),
        *,
        channel: Channel = "email",
        expires_at: float = inf,
    ) -> None:
        self.directory = FakeDirectory({"c": ["m@x", "n@x"]})
        self.events: list[Event] = []
        self.halted = trio.Event()
        texts = Texts(Engine(), plain_source("T", "C"), [channel], None)
        composer = Composer("d", texts, {}, UserFields(email_address="_id"), MailExtras())
        pages = Pages(self.directory, Audience(names, clusters), Patience(1))
        self.feed = Feed(channel, composer, pages, self.events.append, self.halted, expires_at)

    async def rest(self, most: int = 100) -> list[Item]:
        found: list[Item] = []
        while items := await self.feed.next(most):
            found += items
        return found


def told(items: Sequence[Item]) -> list[tuple[str, str]]:
    return [(one.user_id, "" if isinstance(one, Delivery) else one.reason) for one in items]


async def test_everybody_comes_once_and_in_order(autojump_clock: MockClock) -> None:
    world = World(["a@x", "b@x", "c@x"], ["c"])
    assert told(await world.rest()) == [(name, "") for name in ("a@x", "b@x", "c@x", "m@x", "n@x")]
    assert await world.feed.next(100) == []


async def test_no_more_than_asked_for_and_nothing_is_composed_ahead(
    autojump_clock: MockClock,
) -> None:
    world = World([f"u{number}@x" for number in range(10)])
    assert told(await world.feed.next(1)) == [("u0@x", "")]
    assert len(world.directory.reads) == 1
    assert told(await world.feed.next(5)) == [("u1@x", "")]
    assert len(world.directory.reads) == 1
    assert len(await world.rest(1)) == 8


async def test_what_cannot_be_sent_is_told_in_its_place(autojump_clock: MockClock) -> None:
    world = World(["a@x", "xx", "bad", "b@x"])
    assert told(await world.rest()) == [
        ("a@x", ""),
        ("xx", "user-not-found"),
        ("bad", "invalid-address"),
        ("b@x", ""),
    ]


async def test_what_is_composed_too_late_is_expired_and_the_rest_told_as_it_is(
    autojump_clock: MockClock,
) -> None:
    world = World(["a@x", "b@x", "bad", "xx", "c@x"], expires_at=10.0)
    assert told(await world.feed.next(1)) == [("a@x", "")]
    await trio.sleep(10)
    late = await world.rest()
    assert told(late) == [
        ("b@x", "expired"),
        ("bad", "invalid-address"),
        ("xx", "user-not-found"),
        ("c@x", "expired"),
    ]
    [first, *_] = late
    assert isinstance(first, Receipt)
    assert (first.outcome, first.error, first.attempts, first.provider) == (
        "expired",
        "Expired before it could be sent",
        0,
        None,
    )


async def test_nobody_to_send_to_is_an_end_at_once(autojump_clock: MockClock) -> None:
    assert await World([]).feed.next(5) == []


async def test_a_directory_that_fails_is_told_once_and_for_everybody_left(
    autojump_clock: MockClock,
) -> None:
    world = World(["a@x", "b@x", "c@x", "a@x"], ["c"])
    world.directory.fails_from = 2
    assert told(await world.rest(1)) == [
        ("a@x", ""),
        ("b@x", ""),
        ("c@x", "directory-unavailable"),
        ("", "directory-unavailable"),
    ]
    assert [type(event) for event in world.events] == [DirectoryFailed]


async def test_a_halt_is_heard_at_the_next_page(autojump_clock: MockClock) -> None:
    world = World(["a@x", "b@x", "c@x", "d@x"])
    await world.feed.next(1)
    world.halted.set()
    assert told(await world.rest()) == [("b@x", ""), ("c@x", "stopping"), ("d@x", "stopping")]
