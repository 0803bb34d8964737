"""The inbox is bounded, fair to priorities and dispatches, and punctual."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from math import inf

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from carillon.actors.inbox import FEWEST, SHARE, Inbox
from carillon.actors.lane import FRESH, Lane
from carillon.messages.envelope import Envelope
from carillon.messages.model import Priority
from tests.actors.fakes import Answers, envelope


def batch(dispatch: str, number: int, priority: Priority = "normal") -> list[Envelope]:
    return [
        envelope(f"{dispatch}{one}", dispatch=dispatch, priority=priority) for one in range(number)
    ]


def take(inbox: Inbox) -> str:
    """The next message, as a worker gets it when every provider is free."""
    return take_one(inbox, inbox.lanes()[0]).delivery.id


def take_one(inbox: Inbox, lane: Lane) -> Envelope:
    taken = inbox.take(lane, lambda _: True)
    assert taken is not None
    return taken[0]


def take_ids(inbox: Inbox, number: int) -> list[str]:
    return [take(inbox) for _ in range(number)]


# Order


async def test_messages_of_one_dispatch_keep_their_order(mock_clock: MockClock) -> None:
    inbox = Inbox(10, 10)
    inbox.put(batch("a", 2))
    inbox.put([envelope("last", dispatch="a")])
    assert take_ids(inbox, 3) == ["a0", "a1", "last"]


async def test_nothing_put_is_nothing_there(mock_clock: MockClock) -> None:
    inbox = Inbox(10, 10)
    inbox.put([])
    assert (inbox.depth, inbox.lanes()) == (0, [])


async def test_it_tells_how_much_of_a_dispatch_is_queued(mock_clock: MockClock) -> None:
    inbox = Inbox(10, 10)
    inbox.put(batch("a", 3))
    inbox.put(batch("b", 2, "bulk"))
    assert [inbox.queued(name) for name in ("a", "b", "c")] == [3, 2, 0]
    take(inbox)
    assert inbox.queued("a") == 2


async def test_lanes_share_by_weight_and_none_starves(mock_clock: MockClock) -> None:
    inbox = Inbox(10, 10)
    for priority in ("bulk", "normal", "high"):
        inbox.put(batch(f"{priority}-", 2000, priority))
    taken = [name.split("-")[0] for name in take_ids(inbox, 2100)]
    assert Counter(taken) == {"high": 1600, "normal": 400, "bulk": 100}
    for start in range(0, 2100, 210):
        assert Counter(taken[start : start + 210])["bulk"] == 10


async def test_a_lone_lane_gets_everything(mock_clock: MockClock) -> None:
    inbox = Inbox(10, 10)
    inbox.put(batch("b", 50, "bulk"))
    assert take_ids(inbox, 50) == [f"b{one}" for one in range(50)]


@pytest.mark.slow
async def test_high_overtakes_bulk_at_once(mock_clock: MockClock) -> None:
    inbox = Inbox(10, 10)
    inbox.put(batch("b", 10_000, "bulk"))
    take_ids(inbox, 500)
    inbox.put(batch("h", 1, "high"))
    assert take(inbox) == "h0"
    inbox.put(batch("i", 1, "high"))
    assert take(inbox) == "i0"


async def test_a_lane_owes_nothing_for_what_it_did_while_it_was_alone(
    mock_clock: MockClock,
) -> None:
    inbox = Inbox(10, 10)
    inbox.put(batch("h", 1000, "high"))
    take_ids(inbox, 1000)
    inbox.put(batch("b", 100, "bulk"))
    take_ids(inbox, 2)
    inbox.put(batch("i", 1, "high"))
    assert take(inbox) == "i0"


async def test_a_lane_saves_nothing_up_while_it_is_empty(mock_clock: MockClock) -> None:
    inbox = Inbox(10, 10)
    inbox.put(batch("h", 3000, "high"))
    take_ids(inbox, 1600)
    inbox.put(batch("b", 200, "bulk"))
    taken = take_ids(inbox, 170)
    assert sum(name.startswith("b") for name in taken) == 10


async def test_a_lane_saves_nothing_up_while_what_it_holds_cannot_go(
    mock_clock: MockClock,
) -> None:
    inbox = Inbox(10, 10)
    stays = [envelope(f"s{one}", priority="bulk") for one in range(200)]
    for one in stays:
        one.at = "away"
        inbox.give_back(one)
    inbox.put(batch("n", 2000))
    for _ in range(1000):
        lane = next(lane for lane in inbox.lanes() if lane.sources)
        take_one(inbox, lane)
    taken = take_ids(inbox, 50)
    assert sum(name.startswith("s") for name in taken) == 10


async def test_what_came_back_goes_before_fresh_ones_of_its_lane(mock_clock: MockClock) -> None:
    inbox = Inbox(10, 10)
    inbox.put(batch("a", 2))
    first = take_one(inbox, inbox.lanes()[0])
    inbox.give_back(first)
    assert take_ids(inbox, 2) == ["a0", "a1"]


# Room


async def test_there_is_room_until_a_dispatch_has_its_share(autojump_clock: MockClock) -> None:
    inbox, got = Inbox(2000, 10), list[tuple[float, int]]()
    assert await inbox.wait_for_capacity("a", inf) == SHARE
    inbox.put(batch("a", SHARE))
    assert await inbox.wait_for_capacity("a", inf) == SHARE
    inbox.put(batch("a", SHARE))

    async def wait() -> None:
        got.append((await inbox.wait_for_capacity("a", inf), inbox.depth))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        take_ids(inbox, SHARE - 1)
        await wait_all_tasks_blocked()
        assert got == []
        take(inbox)
    assert got == [(SHARE, SHARE)]


async def test_all_who_wait_for_room_of_one_dispatch_are_told(autojump_clock: MockClock) -> None:
    inbox, got = Inbox(2000, 10), list[int]()
    inbox.put(batch("a", 2 * SHARE))

    async def wait() -> None:
        got.append(await inbox.wait_for_capacity("a", inf))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        take_ids(inbox, SHARE)
    assert got == [SHARE] * 3


async def test_a_share_shrinks_so_that_all_dispatches_fit(autojump_clock: MockClock) -> None:
    inbox = Inbox(1000, 10)
    for number in range(20):
        inbox.put(batch(f"d{number}-", 1))
    assert await inbox.wait_for_capacity("new", inf) == 50
    for number in range(20, 1000):
        inbox.put(batch(f"d{number}-", 1))
    assert await inbox.wait_for_capacity("new", inf) == FEWEST


@pytest.mark.slow
@pytest.mark.parametrize("dispatches", [1, 10, 100, 1000])
async def test_room_bounds_what_is_held_however_many_dispatches_bring(
    dispatches: int, autojump_clock: MockClock
) -> None:
    capacity = 1000
    inbox = Inbox(capacity, 10)

    async def feed(name: str) -> None:
        while not inbox.closed:
            room = await inbox.wait_for_capacity(name, inf)
            if not inbox.closed:
                inbox.put(batch(name, room))

    async with trio.open_nursery() as nursery:
        for number in range(dispatches):
            nursery.start_soon(feed, f"d{number}-")
        for _ in range(3):
            await wait_all_tasks_blocked()
            assert inbox.depth <= min(
                3 * SHARE * dispatches, 5 * capacity + 2 * FEWEST * dispatches
            )
            take_ids(inbox, min(inbox.depth, capacity))
        inbox.close()


async def test_waiting_for_room_ends_at_the_deadline(autojump_clock: MockClock) -> None:
    inbox = Inbox(10, 10)
    inbox.put(batch("a", 50))
    await inbox.wait_for_capacity("a", 7.0)
    assert trio.current_time() == pytest.approx(7)
    await inbox.wait_for_capacity("a", 3.0)
    assert trio.current_time() == pytest.approx(7)


async def test_room_is_told_when_the_dispatch_has_expired(autojump_clock: MockClock) -> None:
    inbox = Inbox(10, 10)
    inbox.put([envelope(f"a{one}", dispatch="a", expires_at=5.0) for one in range(50)])

    async def expire() -> None:
        await trio.sleep(5)
        inbox.turn_over(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(expire)
        await inbox.wait_for_capacity("a", inf)
    assert trio.current_time() == pytest.approx(5)


async def test_a_closed_inbox_has_room_at_once_and_takes_nothing(
    autojump_clock: MockClock,
) -> None:
    inbox = Inbox(10, 10)
    inbox.put(batch("a", 50))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.wait_for_capacity, "a", inf)
        await wait_all_tasks_blocked()
        inbox.close()
    assert await inbox.wait_for_capacity("a", inf) > 0
    with pytest.raises(trio.ClosedResourceError):
        inbox.put([envelope("b")])
    assert take(inbox) == "a0"


# Time


async def test_what_was_parked_is_queued_when_it_is_due_before_fresh_ones(
    mock_clock: MockClock,
) -> None:
    inbox = Inbox(10, 10)
    inbox.put(batch("a", 2))
    for name, seconds in (("later", 9.0), ("late", 5.0)):
        assert inbox.park(envelope(name), seconds)
    assert (inbox.parked, inbox.depth, inbox.next_event) == (2, 4, 5.0)
    mock_clock.jump(6)
    inbox.turn_over(trio.current_time())
    assert (inbox.parked, inbox.depth, inbox.next_event) == (1, 4, 9.0)
    assert take_ids(inbox, 3) == ["late", "a0", "a1"]


async def test_the_place_for_waiting_messages_is_bounded(mock_clock: MockClock) -> None:
    inbox = Inbox(1, 2)
    assert [inbox.park(envelope(name), 1) for name in "abc"] == [True, True, False]
    mock_clock.jump(1)
    inbox.turn_over(trio.current_time())
    assert inbox.park(envelope("d"), 1)


async def test_what_expires_is_answered_wherever_it_waits(mock_clock: MockClock) -> None:
    inbox, answers = Inbox(10, 10), Answers()
    fresh, late, back, aside = (
        envelope(name, answers.reply, dispatch=name, expires_at=at)
        for name, at in (("fresh", 5.0), ("late", 6.0), ("back", 5.0), ("aside", 5.0))
    )
    for one in (fresh, late, aside):
        inbox.put([one])
    for _ in range(3):
        one = take_one(inbox, inbox.lanes()[0])
        if one is aside:
            inbox.set_aside(one)
        else:
            inbox.put([one])
    back.at = "A"
    inbox.give_back(back)
    assert inbox.next_event == 5.0
    mock_clock.jump(4.9)
    inbox.turn_over(trio.current_time())
    assert answers.receipts == {}
    mock_clock.jump(0.1)
    inbox.turn_over(trio.current_time())
    assert set(answers.reasons().items()) == {(name, "expired") for name in answers.receipts}
    assert set(answers.receipts) == {"fresh", "back", "aside"}
    assert answers.receipts["back"].provider == "A"
    assert (inbox.depth, take(inbox)) == (1, "late")
    inbox.take_up(aside)
    assert inbox.depth == 0


async def test_what_is_in_doubt_never_ends_as_expired(mock_clock: MockClock) -> None:
    inbox, answers = Inbox(10, 10), Answers()
    one = envelope("a", answers.reply, expires_at=5.0)
    one.in_doubt = True
    inbox.give_back(one)
    inbox.turn_over(5.0)
    assert answers.reasons() == {"a": "unknown-outcome"}
    assert answers.outcomes() == {"a": "in-doubt"}


async def test_remembering_deadlines_costs_no_memory_per_message(mock_clock: MockClock) -> None:
    inbox, one = Inbox(10, 10), envelope("a", expires_at=1e6)

    def come_back(times: int) -> None:
        for _ in range(times):
            inbox.give_back(one)
            take_one(inbox, inbox.lanes()[0])

    come_back(10)
    tracemalloc.start()
    come_back(5_000)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 20_000


# Turns


async def test_what_was_set_aside_still_counts_and_comes_back_once(mock_clock: MockClock) -> None:
    inbox = Inbox(10, 10)
    inbox.put(batch("a", 2))
    one = take_one(inbox, inbox.lanes()[0])
    inbox.set_aside(one)
    assert inbox.depth == 2
    inbox.take_up(one)
    inbox.take_up(one)
    assert (inbox.depth, take_ids(inbox, 2)) == (2, ["a0", "a1"])


# The end


async def test_emptying_takes_everything(mock_clock: MockClock) -> None:
    inbox = Inbox(2, 2)
    inbox.put(batch("a", 3))
    inbox.set_aside(take_one(inbox, inbox.lanes()[0]))
    inbox.park(envelope("parked"), 5)
    inbox.give_back(envelope("back"))
    names = [one.delivery.id for one in inbox.empty()]
    assert sorted(names) == ["a0", "a1", "a2", "back", "parked"]
    assert names[-1] == "parked"
    assert (inbox.depth, inbox.parked, inbox.lanes(), inbox.empty()) == (0, 0, [], [])


async def test_it_tells_how_many_wait_for_what(mock_clock: MockClock) -> None:
    inbox = Inbox(10, 10)
    mock_clock.jump(5)
    inbox.put(batch("a", 3))
    inbox.put(batch("b", 2, "bulk"))
    assert list(inbox.waiting()) == [(FRESH, 3, 5.0), (FRESH, 2, 5.0)]
