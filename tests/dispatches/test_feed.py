"""A feed composes page by page, only as much as is asked for, and never loses anybody."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import pytest
import trio
from trio.testing import MockClock

from carillon.dispatches.compose import Composer
from carillon.dispatches.feed import Feed, Item, Pages
from carillon.dispatches.render import Texts, plain_source
from carillon.handlebars import Engine
from carillon.messages.events import DirectoryFailed, Event
from carillon.messages.model import (
    Audience,
    Channel,
    Cursor,
    Delivery,
    MailExtras,
    Page,
    Receipt,
    UserFields,
)
from carillon.messages.retry import ReadRetry
from tests.dispatches.fakes import FakeDirectory


class World:
    """A feed over a directory that gives two users a page."""

    def __init__(
        self,
        names: Sequence[str],
        clusters: Sequence[str] = (),
        *,
        channel: Channel = "email",
        expires_at: float = inf,
        begin: Cursor | None = None,
        directory: FakeDirectory | None = None,
    ) -> None:
        self.directory = directory or FakeDirectory({"c": ["m@x", "n@x"]})
        self.events: list[Event] = []
        self.halted = trio.Event()
        texts = Texts(Engine(), plain_source("T", "C"), [channel], None)
        composer = Composer("d", texts, {}, UserFields(email_address="_id"), MailExtras())
        pages = Pages(self.directory, Audience(names, clusters), ReadRetry(1))
        self.feed = Feed(
            channel, composer, pages, self.events.append, self.halted, expires_at, begin
        )

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


@pytest.mark.parametrize("before", [0, 1, 2, 5])
@pytest.mark.parametrize("length", [1, 2, 3, 7])
async def test_a_directory_that_goes_round_in_circles_is_unreadable(
    before: int, length: int, autojump_clock: MockClock
) -> None:
    class Circle(FakeDirectory):
        async def page(self, audience: Audience, cursor: Cursor) -> Page:
            await super().page(audience, cursor)
            following = cursor.position + 1
            return Page(
                (), [f"u{cursor.position}"], Cursor(following % (before + length) or before)
            )

    world = World(["a@x"], directory=Circle({}))
    with trio.move_on_after(60):
        while True:
            await world.feed.next(1)
    told = [event for event in world.events if isinstance(event, DirectoryFailed)]
    assert told
    assert told[0].error == "The directory gave users again that came before"
    assert len(world.directory.reads) < 100


async def test_nobody_to_send_to_is_an_end_at_once(autojump_clock: MockClock) -> None:
    assert await World([]).feed.next(5) == []


async def test_a_directory_that_is_away_is_waited_for(autojump_clock: MockClock) -> None:
    world = World(["a@x", "b@x", "c@x", "a@x"], ["c"])
    world.directory.fails_from = 2

    async def come_back() -> None:
        await trio.sleep(100)
        world.directory.fails_from = None

    async with trio.open_nursery() as nursery:
        nursery.start_soon(come_back)
        found = told(await world.rest(1))
    assert found == [(name, "") for name in ("a@x", "b@x", "c@x", "a@x", "m@x", "n@x")]
    assert 100 <= trio.current_time() <= 110
    assert {type(event) for event in world.events} == {DirectoryFailed}


async def test_a_stop_is_heard_at_once_and_leaves_the_rest_unread(
    autojump_clock: MockClock,
) -> None:
    world = World(["a@x", "b@x", "c@x", "d@x"])
    await world.feed.next(1)
    world.halted.set()
    assert await world.rest() == []
    assert not world.feed.is_over


async def test_a_stop_ends_the_wait_for_a_directory(autojump_clock: MockClock) -> None:
    world = World(["a@x", "b@x", "c@x"])
    world.directory.fails_from = 2

    async def stop() -> None:
        await trio.sleep(50)
        world.halted.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop)
        assert told(await world.rest()) == [("a@x", ""), ("b@x", "")]
    assert trio.current_time() == 50


async def test_reading_goes_on_where_the_page_of_the_last_item_begins(
    autojump_clock: MockClock,
) -> None:
    names = ["a@x", "b@x", "c@x", "d@x", "e@x"]
    world = World(names)
    await world.feed.next(1)
    assert world.feed.progress.cursor == Cursor(0)
    await world.feed.next(2)
    assert world.feed.progress.cursor == Cursor(0)
    await world.feed.next(2)
    begin = world.feed.progress.cursor
    assert begin == Cursor(2)
    again = World(names, begin=begin)
    assert told(await again.rest()) == [(name, "") for name in names[2:]]
