"""A dispatch hands its first deliveries over while it is being made durable, where that is safe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from trio.testing import MockClock

from carillon.messages.envelope import Envelope
from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import Channel
from carillon.messages.ports.journal import Enrolment, NewDispatch
from tests.dispatches.fakes import FakeJournal, FakePost
from tests.dispatches.test_dispatch import World


class FakeLog(FakeJournal):
    """A journal of one log; `posted` is what was handed over before the write was done."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.posted: list[str] = []
        self._world = world

    async def open_with_starts(
        self,
        dispatch: NewDispatch,
        rows: Sequence[Enrolment],
        begin: Callable[[], None],
        withdraw: Callable[[], None],
    ) -> Sequence[bool]:
        begin()
        self.posted = list(self._world.post.posted)
        try:
            return await self.open(dispatch, rows)
        except JournalUnavailable:
            withdraw()
            raise


def world(*names: str) -> tuple[World, FakeLog]:
    it = World(names, channels=["email"])
    it.post.holds = True
    log = FakeLog(it)
    it.journal = log
    context = it.dispatch._context
    it.dispatch._context = replace(context, journal=log, log=log)
    return it, log


class BrokenPost(FakePost):
    """Has a bug."""

    def put(self, channel: Channel, envelopes: Sequence[Envelope]) -> None:
        raise ZeroDivisionError


def finish(it: World) -> None:
    for envelope in it.post.envelopes:
        envelope.end("sent", "accepted")


async def test_the_first_are_handed_over_before_the_write_is_done(
    autojump_clock: MockClock,
) -> None:
    it, log = world("a@x", "b@x")
    await it.open()
    assert log.posted == ["a@x", "b@x"]
    it.dispatch.begin()
    finish(it)
    await it.dispatch.run()
    assert it.post.posted == ["a@x", "b@x"]  # once
    assert it.dispatch.report().counts == {"sent": 2}
    assert it.dispatch.report().pending == 0


async def test_how_others_have_ended_is_told_after_that(autojump_clock: MockClock) -> None:
    it, log = world("a@x", "xx")
    await it.open()
    assert log.posted == ["a@x"]
    assert it.events == []
    assert it.dispatch.report().pending == 2
    it.dispatch.begin()
    finish(it)
    await it.dispatch.run()
    assert it.dispatch.report().counts == {"sent": 1, "failed": 1}


async def test_what_was_not_written_is_taken_back(autojump_clock: MockClock) -> None:
    it, log = world("a@x")
    log.broken = True
    with pytest.raises(JournalUnavailable):
        await it.open()
    assert log.posted == ["a@x"]
    assert it.post.forsaken == ["d"]


async def test_a_bug_while_it_is_handed_over_cuts_it_short(autojump_clock: MockClock) -> None:
    it, _ = world("a@x")
    it.use(post=BrokenPost())
    await it.open()
    it.dispatch.begin()
    await it.dispatch.run()
    assert it.dispatch.crashed
    assert it.dispatch.ended.is_set()
