"""A dispatch ends with every delivery answered once, whatever directory and journal do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import trio
from trio.testing import MockClock

from messages.compose import Composer
from messages.dispatch import Dispatch
from messages.envelope import Envelope
from messages.events import DispatchCrashed, DispatchEnded, Event
from messages.model import Audience, Channel, MailExtras, UserFields
from messages.patience import Patience
from messages.render import Texts, plain_source
from messages.resolve import Pages
from messages.templates import Engine
from tests.messages.fakes import FakeDirectory, FakeJournal

CHANNELS: tuple[Channel, ...] = ("email", "sms")


class World:
    """A dispatch with fakes all around."""

    def __init__(self, names: Sequence[str] = (), clusters: Sequence[str] = ()) -> None:
        self.directory = FakeDirectory({"c": ["a", "m", "n"]})
        self.journal = FakeJournal()
        self.events: list[Event] = []
        self.posted: list[str] = []
        self.halted = trio.Event()
        texts = Texts(Engine(), plain_source("T", "C"), CHANNELS, None)
        fields = UserFields(email_address="_id", phone_number="_id")
        self.dispatch = Dispatch(
            Composer("d", texts, {}, fields, MailExtras()),
            CHANNELS,
            Pages(self.directory, Audience(names, clusters), Patience(1)),
            self.journal,
            self.post,
            self.events.append,
            1000,
            self.halted,
        )

    async def post(self, envelope: Envelope) -> None:
        await trio.lowlevel.checkpoint()
        self.posted.append(envelope.delivery.user_id)
        envelope.end("sent", "accepted")

    def failures(self) -> Counter[tuple[str, str]]:
        return Counter((one.user_id, one.error) for one in self.dispatch.report().failures)


async def test_repeats_count_once_wherever_they_stand(autojump_clock: MockClock) -> None:
    world = World(["a@x", "b@x", "a@x", "xx", "b@x", "xx"], [])
    await world.dispatch.run()
    # Every address is an email and no phone number: sms fails where email is sent.
    assert sorted(world.posted) == ["a@x", "b@x"]
    assert world.failures()["xx", "User not found"] == 2
    assert world.dispatch.report().counts == {"sent": 2, "failed": 4}


async def test_the_journal_is_waited_for(autojump_clock: MockClock) -> None:
    world = World(["a@x"])
    world.journal.broken = True

    async def mend() -> None:
        await trio.sleep(100)
        assert world.posted == []
        world.journal.broken = False

    async with trio.open_nursery() as nursery:
        nursery.start_soon(mend)
        await world.dispatch.run()
    assert world.posted == ["a@x"]
    assert world.journal.closed["d"] == {"sent": 1, "failed": 1}


async def test_a_directory_that_fails_later_leaves_one_failure_for_each_id_and_cluster(
    autojump_clock: MockClock,
) -> None:
    world = World(["a@x", "b@x", "c@x", "d@x", "e@x"], ["c", "c"])
    world.directory.fails_from = 2
    await world.dispatch.run()
    assert world.posted == ["a@x", "b@x"]
    lost = {name: number for (name, error), number in world.failures().items() if "Dir" in error}
    assert lost == {"c@x": 2, "d@x": 2, "e@x": 2, "": 2}
    [cluster] = {error for name, error in world.failures() if not name}
    assert cluster == "Directory unavailable: cluster c was not read to its end"


async def test_a_halt_tells_what_was_not_read(autojump_clock: MockClock) -> None:
    world = World(["a@x", "b@x", "c@x"])
    world.halted.set()
    await world.dispatch.run()
    assert world.posted == []
    assert world.failures() == {(name, "Service stopping"): 2 for name in ("a@x", "b@x", "c@x")}


async def test_a_halt_ends_the_wait_for_a_broken_journal(autojump_clock: MockClock) -> None:
    world = World(["a@x"])
    world.journal.broken = True

    async def halt() -> None:
        await trio.sleep(50)
        world.halted.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(halt)
        await world.dispatch.run()
    assert world.dispatch.ended.is_set()
    assert trio.current_time() < 60


async def test_a_bug_ends_the_dispatch_and_is_told(autojump_clock: MockClock) -> None:
    world = World(["a@x"])

    async def broken(envelope: Envelope) -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError(envelope.delivery.id)

    world.dispatch._post = broken
    await world.dispatch.run()
    assert world.dispatch.crashed
    assert world.dispatch.ended.is_set()
    assert [type(event) for event in world.events[-2:]] == [DispatchCrashed, DispatchEnded]
