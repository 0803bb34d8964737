"""Events on their way in each store: durable, in order for each saga, found again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from carillon.messages.errors import BadCommand
from carillon.messages.ports.outbox import LONGEST_REST, DueEvent, Outbox, SagaEvent
from carillon.stores.mongodb.outbox import LOOK_AGAIN
from tests.stores.shelves import Shelf


@pytest.fixture
def outbox(shelf: Shelf) -> Iterator[Outbox]:
    with shelf.outbox() as opened:
        yield opened


def event(name: str, saga: str = "S-1") -> SagaEvent:
    return SagaEvent(name, saga, "done", {"carillon": {"n": 1}, "text": "\x00ü"}, f"d-{name}")


async def due(outbox: Outbox, now: int = 100) -> list[str]:
    return [one.event.id for one in (await outbox.due(now, 10)).events]


async def test_an_event_survives_a_restart(outbox: Outbox, shelf: Shelf) -> None:
    assert await outbox.add(event("a"), 5)
    with shelf.outbox() as again:
        assert (await again.due(5, 10)).events == [DueEvent(event("a"), 0, 5)]


async def test_an_event_with_a_known_id_is_not_added(outbox: Outbox) -> None:
    assert await outbox.add(event("a"), 5)
    assert not await outbox.add(replace(event("a"), label="other"), 6)
    (found,) = (await outbox.due(9, 10)).events
    assert found.event.label == "done"


async def test_events_of_one_saga_are_due_one_after_the_other(outbox: Outbox) -> None:
    for name, saga in (("a", "S-1"), ("b", "S-1"), ("c", "S-2"), ("d", "S-1")):
        await outbox.add(event(name, saga), 5)
    assert await due(outbox) == ["a", "c"]
    await outbox.postponed("a", 200, "away")
    assert await due(outbox) == ["c"]
    await outbox.parked("a", 10, "refused")
    assert await due(outbox) == ["b", "c"]
    await outbox.accepted("b", 11)
    assert await due(outbox) == ["c", "d"]


async def test_it_says_when_to_look_again(outbox: Outbox) -> None:
    assert (await outbox.due(100, 10)).next in {None, 100 + LOOK_AGAIN}
    await outbox.add(event("a"), 5)
    await outbox.postponed("a", 250, "away")
    await outbox.add(event("b", "S-2"), 6)
    await outbox.postponed("b", 300, "away")
    found = await outbox.due(100, 10)
    assert (found.events, found.next) == ([], 250)
    assert (await outbox.due(250, 10)).events == [DueEvent(event("a"), 1, 5)]


async def test_those_that_waited_longest_come_first(outbox: Outbox) -> None:
    for number, name in enumerate("abcd"):
        await outbox.add(event(name, name), 10 - number)
    found = await outbox.due(100, 2)
    assert [one.event.id for one in found.events] == ["d", "c"]


async def test_what_became_of_an_event_can_be_asked(outbox: Outbox) -> None:
    for name in "abc":
        await outbox.add(event(name, name), 5)
    await outbox.postponed("a", 50, "away")
    await outbox.parked("b", 60, "Flow Manager answered 400")
    await outbox.accepted("c", 70)
    states = {}
    for name in "abc":
        found = await outbox.find(name)
        assert found is not None
        states[name] = (found.state, found.attempts, found.error, found.due_at, found.ended_at)
    assert states == {
        "a": ("pending", 1, "away", 50, None),
        "b": ("parked", 1, "Flow Manager answered 400", None, 60),
        "c": ("accepted", 1, None, None, 70),
    }
    assert await outbox.find("x") is None


async def test_the_newest_are_listed_first_a_page_at_a_time(outbox: Outbox) -> None:
    for name in "abcde":
        await outbox.add(event(name), 5)
    await outbox.parked("b", 6, "no")
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await outbox.events(None, cursor, 2)
        seen += [one.id for one in page.events]
        cursor = page.next
    assert seen == ["e", "d", "c", "b", "a"]
    assert [one.id for one in (await outbox.events("parked", "", 9)).events] == ["b"]
    with pytest.raises(BadCommand, match="cursor"):
        await outbox.events(None, "x", 2)


@pytest.mark.parametrize("prefix", ["", "a", "a-", "a-1", "A", "b%", "b_", "\x00", "\U0010ffff"])
async def test_those_whose_ids_begin_so_are_listed_alone(outbox: Outbox, prefix: str) -> None:
    names = ["a-1", "a-2", "b", "b%", "c"]
    for name in names:
        await outbox.add(event(name), 5)
    await outbox.parked("a-1", 6, "no")
    found = [one.id for one in (await outbox.events(None, "", 9, prefix)).events]
    assert found == [name for name in reversed(names) if name.startswith(prefix)]
    parked = [one.id for one in (await outbox.events("parked", "", 9, prefix)).events]
    assert parked == [name for name in ("a-1",) if name.startswith(prefix)]


async def test_an_event_is_driven_again_with_a_new_effort(outbox: Outbox) -> None:
    await outbox.add(event("a"), 5)
    await outbox.add(event("b"), 6)
    await outbox.parked("a", 60, "no")
    assert await outbox.again("a", 70)
    assert not await outbox.again("x", 70)
    assert (await outbox.due(70, 10)).events == [DueEvent(event("a"), 0, 70)]
    found = await outbox.find("a")
    assert found is not None
    assert (found.state, found.error, found.ended_at) == ("pending", "no", None)


async def test_an_end_counts_only_while_the_event_is_pending(outbox: Outbox) -> None:
    await outbox.add(event("a"), 5)
    await outbox.accepted("a", 6)
    await outbox.parked("a", 7, "late")
    await outbox.postponed("a", 8, "late")
    found = await outbox.find("a")
    assert found is not None
    assert (found.state, found.attempts, found.ended_at) == ("accepted", 1, 6)


async def test_only_what_was_accepted_long_ago_is_erased(outbox: Outbox) -> None:
    for name in "abc":
        await outbox.add(event(name, name), 5)
    await outbox.accepted("a", 10)
    await outbox.accepted("b", 30)
    await outbox.parked("c", 10, "no")
    assert not await outbox.retire(20)
    assert [one.id for one in (await outbox.events(None, "", 9)).events] == ["c", "b"]


async def test_hostile_texts_come_back_as_they_were(outbox: Outbox) -> None:
    odd = SagaEvent("a", "$where", "\x00\u20ac", {"$set": {"a.b": 1}, "": [None, 1.5]}, None)
    await outbox.add(odd, 5)
    assert (await outbox.due(5, 1)).events == [DueEvent(odd, 0, 5)]


async def test_what_was_put_off_farther_than_any_rest_lasts_is_due(outbox: Outbox) -> None:
    tomorrow = 100 + 86_400_000
    await outbox.add(event("a"), 5)
    await outbox.add(event("b"), 6)
    await outbox.postponed("a", tomorrow, "away")
    await outbox.add(event("c", "S-2"), tomorrow)
    assert await due(outbox) == ["a", "c"]
    await outbox.accepted("a", 101)
    assert await due(outbox) == ["b", "c"]


async def test_no_event_that_rests_as_long_as_one_may_is_due_before(outbox: Outbox) -> None:
    await outbox.add(event("a"), 5)
    await outbox.postponed("a", 100 + LONGEST_REST, "away")
    assert await due(outbox) == []
    assert (await outbox.due(100, 10)).next in {100 + LONGEST_REST, 100 + LOOK_AGAIN}


async def test_an_event_that_began_in_the_future_begins_when_it_is_put_off(outbox: Outbox) -> None:
    await outbox.add(event("a"), 400 * 86_400_000)
    await outbox.postponed("a", 200, "away")
    (found,) = (await outbox.due(300, 10)).events
    assert found.since == 200
