"""A dispatch ends with every delivery answered once, whatever directory and journal do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from carillon.dispatches.channel_feed import ChannelFeed
from carillon.dispatches.compose import Composer
from carillon.dispatches.dispatch import FIRST, Dispatch, DispatchContext
from carillon.dispatches.feed import Feed, Pages
from carillon.dispatches.recovery import Given, PendingReader
from carillon.dispatches.render import Texts, plain_source
from carillon.dispatches.snapshot import Request
from carillon.handlebars import Engine
from carillon.messages.commands import SendCommand
from carillon.messages.envelope import Envelope
from carillon.messages.errors import JournalUnavailable
from carillon.messages.events import DispatchCrashed, DispatchEnded, Event
from carillon.messages.model import Audience, Channel, MailExtras, Priority, UserFields
from carillon.messages.ports.journal import NewDispatch
from carillon.messages.retry import ReadRetry
from tests.dispatches.fakes import FakeDirectory, FakeJournal, FakePost

CHANNELS: tuple[Channel, ...] = ("email", "sms")


class World:
    """A dispatch with fakes all around."""

    def __init__(
        self,
        names: Sequence[str] = (),
        clusters: Sequence[str] = (),
        *,
        channels: Sequence[Channel] = CHANNELS,
        expires_at: float = inf,
        priority: Priority = "normal",
    ) -> None:
        self.directory = FakeDirectory({"c": ["a", "m", "n"]})
        self.journal = FakeJournal()
        self.post = FakePost()
        self.events: list[Event] = []
        self.halted = trio.Event()
        texts = Texts(Engine(), plain_source("T", "C"), channels, None)
        fields = UserFields(email_address="_id", phone_number="_id")
        composer = Composer("d", texts, {}, fields, MailExtras())
        pages = Pages(self.directory, Audience(names, clusters), ReadRetry(1))
        feeds = [
            Feed(channel, composer, pages, self.events.append, self.halted, expires_at)
            for channel in channels
        ]
        request = Request(
            SendCommand.model_validate(
                {
                    "channels": list(channels),
                    "recipients": list(names),
                    "messageTitle": "T",
                    "messageContent": "C",
                    "priority": priority,
                }
            )
        )
        self.new = NewDispatch("d", channels, request.text())
        context = DispatchContext(self.journal, self.post, self.events.append, 1000)
        ways = [ChannelFeed(feed, self._nothing_left(feed)) for feed in feeds]
        self.dispatch = Dispatch("d", request, ways, context, self.halted)

    def _nothing_left(self, feed: Feed) -> PendingReader:
        composer, observe = feed.composer, self.events.append
        return PendingReader(
            feed.channel, composer, Given({}), self.directory, observe, self.halted
        )

    def use(self, *, post: FakePost | None = None, journal: FakeJournal | None = None) -> None:
        context = self.dispatch._context
        self.dispatch._context = replace(
            context, post=post or context.post, journal=journal or context.journal
        )

    async def open(self) -> None:
        await self.dispatch.open(self.new)

    async def run(self) -> None:
        await self.open()
        await self.dispatch.run()

    def failures(self) -> Counter[tuple[str, str]]:
        return Counter((one.user_id, one.error) for one in self.dispatch.report().failures)


def many(number: int) -> list[str]:
    return [f"u{one}@x" for one in range(number)]


async def test_repeats_count_once_wherever_they_stand(autojump_clock: MockClock) -> None:
    world = World(["a@x", "b@x", "a@x", "xx", "b@x", "xx"], [])
    await world.run()
    # Every address is an email and no phone number: sms fails where email is sent.
    assert sorted(world.post.posted) == ["a@x", "b@x"]
    assert world.failures()["xx", "User not found"] == 2
    assert world.dispatch.report().counts == {"sent": 2, "failed": 4}


async def test_a_small_dispatch_costs_one_write_before_it_leaves(
    autojump_clock: MockClock,
) -> None:
    world = World(["a@x"], channels=["email"])
    await world.open()
    assert world.journal.writes == [("open", 1)]
    assert world.post.posted == []
    await world.dispatch.run()
    assert world.journal.writes == [("open", 1)]
    assert world.post.posted == ["a@x"]


async def test_what_is_on_record_before_the_answer_is_at_most_a_first_slice_a_channel(
    autojump_clock: MockClock,
) -> None:
    world = World(many(200))
    await world.open()
    [(name, rows)] = world.journal.writes
    assert name == "open"
    assert 2 <= rows <= FIRST * len(CHANNELS)
    await world.dispatch.run()
    assert len(world.post.posted) == 200
    assert sum(rows for _, rows in world.journal.writes) == 400


async def test_what_is_not_new_is_not_sent(autojump_clock: MockClock) -> None:
    """Neither of the first slice nor of a later one: somebody else saw to it."""
    world = World(many(60), channels=["email"])
    earlier = World(["u0@x", "u1@x", "u50@x"], channels=["email"])
    earlier.journal = world.journal
    earlier.use(journal=world.journal)
    await earlier.run()
    await world.run()
    assert sorted(world.post.posted) == sorted({*many(60)} - {"u0@x", "u1@x", "u50@x"})
    assert world.dispatch.report().counts == {"sent": 57}
    assert world.dispatch.report().pending == 0


async def test_a_channel_gets_no_more_than_it_has_room_for(autojump_clock: MockClock) -> None:
    world = World(many(100), channels=["email"])
    world.post.space = 7
    await world.run()
    assert all(number <= max(7, FIRST) for _, number in world.post.slices)
    assert len(world.post.posted) == 100


async def test_a_full_channel_holds_up_no_other(autojump_clock: MockClock) -> None:
    world = World(many(100), channels=["email", "push"])

    class OneFull(FakePost):
        async def wait_for_capacity(
            self, channel: Channel, dispatch_id: str, until: float, caller: str = ""
        ) -> int:
            if channel == "push":
                await trio.sleep(100)
            return await super().wait_for_capacity(channel, dispatch_id, until, caller)

    post = OneFull()
    world.use(post=post)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.run)
        await trio.sleep(1)
        assert Counter(one.delivery.channel for one in post.envelopes)["email"] == 100
        nursery.cancel_scope.cancel()


async def test_messages_carry_their_priority_and_their_deadline(
    autojump_clock: MockClock,
) -> None:
    world = World(many(50), channels=["email"], expires_at=77.0, priority="bulk")
    await world.run()
    assert {(one.priority, one.expires_at) for one in world.post.envelopes} == {("bulk", 77.0)}


async def test_what_expired_before_it_was_its_turn_ends_without_being_posted(
    autojump_clock: MockClock,
) -> None:
    world = World(many(100), channels=["email"], expires_at=30.0)
    world.post.full = True
    await world.run()
    report = world.dispatch.report()
    posted = len(world.post.posted)
    assert trio.current_time() == pytest.approx(30)
    assert 0 < posted <= FIRST
    assert report.counts == {"sent": posted, "expired": 100 - posted}
    assert {error for _, error in world.failures()} == {"Expired before it could be sent"}
    assert len(world.journal.enrolled) == 100


async def test_a_dispatch_whose_time_is_over_sends_nothing(autojump_clock: MockClock) -> None:
    world = World(["a@x", "xx", "b"], expires_at=0.0)
    await world.run()
    assert world.post.posted == []
    assert world.failures() == {
        ("a@x", "Expired before it could be sent"): 1,
        ("a@x", "Invalid _id"): 1,
        ("b", "Invalid _id"): 2,
        ("xx", "User not found"): 2,
    }
    assert world.dispatch.report().counts == {"expired": 1, "failed": 5}


async def test_a_journal_that_refuses_the_opening_leaves_nothing_behind(
    autojump_clock: MockClock,
) -> None:
    world = World(["a@x"])
    world.journal.broken = True
    with pytest.raises(JournalUnavailable):
        await world.open()
    assert (world.post.posted, world.dispatch.report().pending) == ([], 0)


async def test_an_opening_that_is_cut_short_is_still_whole(autojump_clock: MockClock) -> None:
    """A caller who hangs up leaves no dispatch that is on record and never starts."""
    world = World(["a@x"], channels=["email"])

    class Slow(FakeJournal):
        async def _enrol(self, name: str, rows: Sequence[object]) -> Sequence[bool]:
            await trio.sleep(5)
            return [True for _ in rows]

    world.use(journal=Slow())
    with trio.move_on_after(1) as scope:
        await world.open()
    assert not scope.cancelled_caught
    assert trio.current_time() == pytest.approx(5)
    await world.dispatch.run()
    assert world.post.posted == ["a@x"]


async def test_the_journal_is_waited_for(autojump_clock: MockClock) -> None:
    world = World(many(100), channels=["email"])
    await world.open()
    first = world.journal.writes[0][1]
    world.journal.broken = True

    async def mend() -> None:
        await trio.sleep(100)
        assert len(world.post.posted) == first
        world.journal.broken = False

    async with trio.open_nursery() as nursery:
        nursery.start_soon(mend)
        await world.dispatch.run()
        await world.dispatch.close()
    assert len(world.post.posted) == 100
    assert world.journal.closed["d"] == {"sent": 100}


async def test_the_end_is_told_at_once_and_on_record_when_the_journal_takes_it(
    autojump_clock: MockClock,
) -> None:
    world = World(["a@x"], channels=["email"])
    await world.open()
    world.journal.broken = True

    async def mend() -> None:
        await trio.sleep(100)
        assert world.dispatch.ended.is_set()
        assert world.journal.closed == {}
        world.journal.broken = False

    async with trio.open_nursery() as nursery:
        nursery.start_soon(mend)
        await world.dispatch.run()
        await world.dispatch.close()
    assert world.journal.closed["d"] == {"sent": 1}


async def test_a_dispatch_lasts_until_its_last_delivery_has_ended(
    autojump_clock: MockClock,
) -> None:
    world = World(["a@x", "b@x"], channels=["email"])
    world.post.holds = True

    async def answer() -> None:
        for number, pending in enumerate((2, 1)):
            await trio.sleep(10)
            assert world.dispatch.report().pending == pending
            world.post.envelopes[number].end("sent", "accepted")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        await world.run()
    assert trio.current_time() == pytest.approx(20)


async def test_a_dispatch_stays_open_while_the_directory_is_away(
    autojump_clock: MockClock,
) -> None:
    world = World(many(60), channels=["email"])
    world.directory.fails_from = 40

    async def come_back() -> None:
        await trio.sleep(1000)
        assert not world.dispatch.ended.is_set()
        assert world.post.posted == many(40)
        world.directory.fails_from = None

    async with trio.open_nursery() as nursery:
        nursery.start_soon(come_back)
        await world.run()
    assert world.post.posted == many(60)
    assert world.dispatch.report().counts == {"sent": 60}


async def test_what_has_to_stop_is_left_to_the_next_start(autojump_clock: MockClock) -> None:
    world = World(many(60), channels=["email"])
    await world.open()

    async def stop() -> None:
        await trio.sleep(1)
        world.halted.set()
        await trio.sleep(1)
        assert not world.dispatch.ended.is_set()
        world.dispatch.suspend()

    world.post.full = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop)
        await world.dispatch.run()
        await world.dispatch.close()
    assert (world.dispatch.suspended, world.dispatch.ended.is_set()) == (True, True)
    assert world.failures() == {}
    assert world.journal.closed == {}
    assert DispatchEnded not in {type(event) for event in world.events}


async def test_a_cancelled_dispatch_sends_nothing_more(autojump_clock: MockClock) -> None:
    world = World(many(60), channels=["email"])
    world.post.holds = True
    world.post.space = 5

    async def cancel() -> None:
        await trio.sleep(1)
        world.post.full = True
        world.post.envelopes[0].end("sent", "accepted")
        await world.dispatch.cancel()

    class Slow(FakePost):
        async def wait_for_capacity(
            self, channel: Channel, dispatch_id: str, until: float, caller: str = ""
        ) -> int:
            await trio.sleep(1)
            return 5

    world.use(post=Slow())
    slow = cast("Slow", world.dispatch._context.post)
    slow.holds = True
    world.post = slow
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel)
        await world.run()
        await world.dispatch.close()
    assert slow.cancelled == ["d"]
    counts = world.dispatch.report().counts
    assert counts["sent"] == 1
    assert counts["cancelled"] == len(slow.posted) - 1
    assert world.journal.closed["d"] == counts


async def test_a_halt_ends_the_wait_for_a_broken_journal(autojump_clock: MockClock) -> None:
    world = World(["a@x"])
    await world.open()
    world.journal.broken = True

    async def halt() -> None:
        await trio.sleep(50)
        world.halted.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(halt)
        await world.dispatch.run()
        await world.dispatch.close()
    assert world.dispatch.ended.is_set()
    assert trio.current_time() < 60


async def test_a_bug_ends_the_dispatch_and_is_told(autojump_clock: MockClock) -> None:
    world = World(["a@x"])

    class Broken(FakePost):
        def put(self, channel: Channel, envelopes: Sequence[Envelope]) -> None:
            raise RuntimeError(envelopes[0].delivery.id)

    world.use(post=Broken())
    await world.run()
    assert world.dispatch.crashed
    assert world.dispatch.ended.is_set()
    assert [type(event) for event in world.events[-2:]] == [DispatchCrashed, DispatchEnded]
