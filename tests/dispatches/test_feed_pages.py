"""Pages are read once for channels of equal pace, and again for one that lags behind."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from carillon.dispatches.feed import KEPT, Pages
from carillon.messages.errors import DirectoryUnavailable
from carillon.messages.model import Audience, Cursor, Page
from carillon.messages.retry import ReadRetry
from tests.dispatches.fakes import FakeDirectory

NAMES = [f"u{number:05}" for number in range(2 * KEPT)]


def pages(directory: FakeDirectory, attempts: int = 3) -> Pages:
    return Pages(directory, Audience(NAMES), ReadRetry(attempts))


async def walk(it: Pages, pause: float) -> list[str]:
    names: list[str] = []
    cursor: Cursor | None = Cursor()
    while cursor is not None:
        page = await it.at(cursor)
        names += [recipient.key for recipient in page.recipients]
        cursor = page.next
        await trio.sleep(pause)
    return names


@pytest.mark.slow
async def test_channels_of_equal_pace_share_every_read(autojump_clock: MockClock) -> None:
    directory = FakeDirectory()
    it = pages(directory)
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(walk, it, 1.0)
    assert len(directory.reads) == KEPT  # two users a page


@pytest.mark.slow
async def test_a_channel_that_lags_reads_again_and_misses_nobody(
    autojump_clock: MockClock,
) -> None:
    directory = FakeDirectory()
    it = pages(directory)
    slow: list[str] = []

    async def lag() -> None:
        slow.extend(await walk(it, 10.0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lag)
        assert await walk(it, 0.1) == NAMES
    assert slow == NAMES
    assert len(directory.reads) > 1.4 * KEPT


class LargeUsers(FakeDirectory):
    """Users of four megabytes."""

    async def page(self, audience: Audience, cursor: Cursor) -> Page:
        page = await super().page(audience, cursor)
        return replace(page, size=4_000_000 * len(page.recipients))


@pytest.mark.slow
async def test_of_large_users_few_are_resolved_ahead_and_kept(autojump_clock: MockClock) -> None:
    directory = LargeUsers()
    it = pages(directory)
    await it.read_head()
    assert len(directory.reads) == 3
    await walk(it, 0.0)
    reads = len(directory.reads)
    assert (await it.at(Cursor(2 * KEPT - 2))).next is None
    assert len(directory.reads) == reads
    await it.at(Cursor(2 * KEPT - 8))
    assert len(directory.reads) == reads + 1


async def test_a_passing_failure_is_read_again(autojump_clock: MockClock) -> None:
    directory = FakeDirectory()
    directory.failures = 2
    assert len((await pages(directory).at(Cursor())).recipients) == 2


async def test_a_lasting_failure_is_told(autojump_clock: MockClock) -> None:
    directory = FakeDirectory()
    directory.failures = 3
    with pytest.raises(DirectoryUnavailable):
        await pages(directory).at(Cursor())
