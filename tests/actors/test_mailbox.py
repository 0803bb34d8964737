"""The inbox is bounded, keeps its order, and gives back what waited when it is due."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.mailbox import Inbox, Mailbox
from tests.actors.fakes import envelope


async def take_ids(inbox: Inbox, number: int) -> list[str]:
    return [(await inbox.take()).delivery.id for _ in range(number)]


async def test_messages_keep_their_order(autojump_clock: MockClock) -> None:
    inbox = Inbox(10, 10)
    for name in "abc":
        await inbox.put(envelope(name))
    assert await take_ids(inbox, 3) == ["a", "b", "c"]


async def test_putting_waits_while_it_is_full(autojump_clock: MockClock) -> None:
    inbox = Inbox(1, 10)
    await inbox.put(envelope("a"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.put, envelope("b"))
        await wait_all_tasks_blocked()
        assert inbox.depth == 1
        assert await take_ids(inbox, 2) == ["a", "b"]


async def test_what_was_parked_comes_to_the_front_even_of_a_full_queue(
    autojump_clock: MockClock,
) -> None:
    inbox = Inbox(2, 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.bring_back)
        assert inbox.park(envelope("late"), 5)
        await inbox.put(envelope("a"))
        await inbox.put(envelope("b"))
        await trio.sleep(6)
        assert await take_ids(inbox, 3) == ["late", "a", "b"]
        nursery.cancel_scope.cancel()


async def test_the_place_for_waiting_messages_is_bounded(autojump_clock: MockClock) -> None:
    inbox = Inbox(1, 2)
    assert [inbox.park(envelope(name), 1) for name in "abc"] == [True, True, False]


async def test_a_closed_inbox_is_emptied_and_then_ends_for_every_taker(
    autojump_clock: MockClock,
) -> None:
    inbox, taken = Inbox(10, 10), list[str]()

    async def taker() -> None:
        with suppress(trio.EndOfChannel):
            while True:
                taken.append((await inbox.take()).delivery.id)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.bring_back)
        async with trio.open_nursery() as takers:
            await inbox.put(envelope("a"))
            inbox.park(envelope("b"), 30)
            inbox.close()
            for _ in range(3):
                takers.start_soon(taker)
        nursery.cancel_scope.cancel()
    assert taken == ["a", "b"]
    assert trio.current_time() == pytest.approx(30)


async def test_closing_releases_those_who_wait_to_put(autojump_clock: MockClock) -> None:
    inbox = Inbox(1, 1)
    await inbox.put(envelope("a"))

    async def put() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await inbox.put(envelope("b"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put)
        await wait_all_tasks_blocked()
        inbox.close()


async def test_emptying_takes_everything_and_leaves_it_usable(autojump_clock: MockClock) -> None:
    inbox = Inbox(2, 2)
    await inbox.put(envelope("a"))
    await inbox.put(envelope("b"))
    inbox.park(envelope("c"), 5)
    assert [one.delivery.id for one in inbox.empty()] == ["a", "b", "c"]
    await inbox.put(envelope("d"))
    await inbox.put(envelope("e"))
    assert await take_ids(inbox, 2) == ["d", "e"]


async def test_a_lease_outlives_the_worker(autojump_clock: MockClock) -> None:
    inbox = Inbox(2, 2)
    await inbox.put(envelope("a"))
    await inbox.put(envelope("b"))
    mailbox = Mailbox(inbox)
    first = await mailbox.take()
    assert await mailbox.take() is first
    mailbox.acknowledge()
    assert (await mailbox.take()).delivery.id == "b"
