"""What is MongoDB's own about events: several replicas post them, and one of them may die."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from carillon.stores.mongodb.client import MongoStore
from carillon.stores.mongodb.outbox import LOOK_AGAIN, MongoOutbox
from carillon.stores.mongodb.url import MongoUrl
from tests.stores.shelves import MongoShelf
from tests.stores.test_outbox import due, event

pytestmark = pytest.mark.servers


class Replicas:
    """Who lives, and the outbox of each."""

    def __init__(self, store: MongoStore) -> None:
        self.living = frozenset({"one", "two"})
        self.one = MongoOutbox(store, lambda: "one", lambda: self.living)
        self.two = MongoOutbox(store, lambda: "two", lambda: self.living)


@pytest.fixture
def replicas(mongodb: MongoUrl) -> Iterator[Replicas]:
    with MongoShelf(mongodb).store() as store:
        yield Replicas(store)


async def test_an_event_is_posted_by_one_of_them(replicas: Replicas) -> None:
    await replicas.one.add(event("a"), 5)
    assert await due(replicas.two) == ["a"]
    found = await replicas.one.due(100, 10)
    assert (found.events, found.next) == ([], 100 + LOOK_AGAIN)
    await replicas.one.accepted("a", 6)  # it is not its own
    assert await due(replicas.two) == ["a"]
    await replicas.two.accepted("a", 7)
    assert await due(replicas.two) == []


async def test_what_rests_may_be_posted_by_another(replicas: Replicas) -> None:
    await replicas.one.add(event("a"), 5)
    assert await due(replicas.one) == ["a"]
    await replicas.one.postponed("a", 50, "away")
    assert await due(replicas.two) == ["a"]


async def test_what_a_dead_one_took_is_taken_over_and_its_late_word_does_not_count(
    replicas: Replicas,
) -> None:
    await replicas.one.add(event("a"), 5)
    assert await due(replicas.one) == ["a"]
    replicas.living = frozenset({"two"})
    assert await due(replicas.two) == ["a"]
    await replicas.one.parked("a", 9, "refused")
    found = await replicas.two.find("a")
    assert found is not None
    assert found.state == "pending"


async def test_the_order_of_a_saga_holds_whoever_posts(replicas: Replicas) -> None:
    await replicas.one.add(event("a"), 9)
    await replicas.two.add(event("b"), 5)
    assert await due(replicas.one) == ["a"]
    assert await due(replicas.two) == []
    await replicas.one.accepted("a", 10)
    assert await due(replicas.two) == ["b"]


async def test_many_are_divided_and_none_is_posted_twice(replicas: Replicas) -> None:
    for number in range(30):
        await replicas.one.add(event(f"e{number}", f"S-{number}"), 5)
    taken: list[str] = []

    async def take(outbox: MongoOutbox) -> None:
        for _ in range(4):
            taken.extend(await due(outbox))
            for one in taken:
                await outbox.accepted(one, 6)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take, replicas.one)
        nursery.start_soon(take, replicas.two)
    assert sorted(taken) == sorted({f"e{number}" for number in range(30)})


async def test_events_that_wait_for_an_earlier_one_hide_no_other_saga(replicas: Replicas) -> None:
    for number in range(450):
        await replicas.one.add(event(f"e{number}"), 5)
    await replicas.one.postponed("e0", 500, "away")
    await replicas.one.add(event("other", "S-2"), 6)
    assert [one.event.id for one in (await replicas.two.due(100, 1)).events] == ["other"]


async def test_what_is_just_posted_is_driven_again_by_who_posts_it(replicas: Replicas) -> None:
    await replicas.one.add(event("a"), 5)
    assert await due(replicas.one) == ["a"]
    assert await replicas.two.again("a", 6)
    assert await due(replicas.two) == []
    await replicas.one.parked("a", 7, "refused")
    assert await replicas.two.again("a", 8)
    assert await due(replicas.two) == ["a"]
