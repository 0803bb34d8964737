"""What one replica offers another in MongoDB: taken once, and never lost with its holder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
import trio

from carillon.actors.lane import equal_weights
from carillon.messages.model import Cursor, Receipt, delivery_id
from carillon.messages.ports.journal import AttemptStart, Enrolment, NewDispatch, Progress
from carillon.messages.ports.records import PastAttempt
from carillon.messages.ports.work_sharing import Settled, Taken, Weigh
from carillon.stores.mongodb.client import MongoStore, connected, prepare
from carillon.stores.mongodb.journal.dispatches import KEY_INDEXES
from carillon.stores.mongodb.journal.journal import MongoJournal
from carillon.stores.mongodb.reading import MongoReader
from carillon.stores.mongodb.recovery import MongoRecovery
from carillon.stores.mongodb.replicas import MongoReplicas
from carillon.stores.mongodb.schema import JOURNAL_INDEXES
from carillon.stores.mongodb.url import MongoUrl
from carillon.stores.mongodb.work_sharing import MongoPool
from tests.stores.starting import start

pytestmark = pytest.mark.servers
START = Progress("sms", Cursor())
KEYS = ["user/a", "user/b", "user/c"]


class Replica:
    """A journal and its pool."""

    def __init__(self, store: MongoStore) -> None:
        self.replicas = MongoReplicas(store)
        self.journal = MongoJournal(store, lambda: self.replicas.id, lambda: True)
        self.reader = MongoReader(store, self.journal.flush)
        self.pool = MongoPool(self.reader, self.journal, self.replicas)

    async def run(self, task_status: trio.TaskStatus[Replica]) -> None:
        await self.replicas.join()
        async with self.journal.running():
            task_status.started(self)
            await trio.sleep_forever()

    async def offer_much(
        self, dispatch: str, caller: str, number: int, *, is_read: bool = False
    ) -> None:
        """Open a caller's dispatch, and offer so many deliveries of it."""
        await self.journal.open(NewDispatch(dispatch, ["sms"], "{}", caller=caller))
        rows = [Enrolment("sms", f"user/{one:04}", f"{one}") for one in range(number)]
        reached = Progress("sms", Cursor(number), is_read)
        assert all(await self.pool.offer(dispatch, rows, reached))

    async def offer(self) -> None:
        """Open a dispatch and offer all of it."""
        await self.journal.open(NewDispatch("d", ["sms"], "{}"))
        rows = [Enrolment("sms", key, key) for key in KEYS]
        assert await self.pool.offer("d", rows, START) == [True] * 3

    async def take(self, most: int = 10) -> list[str]:
        """The keys that it takes."""
        taken = await self.taken(most)
        return [one.key for each in taken for one in each.deliveries["sms"]]

    async def taken(self, most: int, weigh: Weigh = equal_weights) -> Sequence[Taken]:
        """What it takes, callers in turn by these weights."""
        return await self.pool.take({"sms": most} if most else {}, weigh)

    async def settle(self, room: int = 0) -> Settled:
        return await self.pool.settle("d", "sms", KEYS, room)

    async def end(self, key: str) -> None:
        """A delivery ends here."""
        identity = delivery_id("d", "sms", key)
        told = Receipt(identity, "d", "sms", key, key, "failed", "rejected", "No.", "p", 1, "m")
        self.journal.record(told)
        await self.journal.flush()


@pytest.fixture
def store(mongodb: MongoUrl) -> Iterator[MongoStore]:
    with connected(mongodb) as client:
        prepare(client, mongodb, {**JOURNAL_INDEXES, **KEY_INDEXES})
        yield MongoStore(client, mongodb.database)


async def replicas(store: MongoStore, nursery: trio.Nursery) -> tuple[Replica, Replica]:
    """Two, that know each other."""
    one: Replica = await nursery.start(Replica(store).run)
    two: Replica = await nursery.start(Replica(store).run)
    await one.replicas.beat()
    return one, two


def keys(settled: Settled) -> list[str]:
    return [one.key for one in settled.taken]


async def test_what_is_offered_is_taken_by_one(store: MongoStore, nursery: trio.Nursery) -> None:
    one, two = await replicas(store, nursery)
    await one.offer()
    assert await two.take(2) == KEYS[:2]
    assert await two.take(2) == KEYS[2:]
    assert await two.take(2) == []
    assert await one.settle(10) == Settled([], [], 0)
    assert await one.pool.elsewhere("d", "sms") == KEYS


async def test_nobody_takes_of_its_own(store: MongoStore, nursery: trio.Nursery) -> None:
    one, _ = await replicas(store, nursery)
    await one.offer()
    assert await one.take() == []
    assert (await one.settle()).free == 3


async def test_its_owner_hears_how_it_ended(store: MongoStore, nursery: trio.Nursery) -> None:
    one, two = await replicas(store, nursery)
    await one.offer()
    await two.take()
    await two.end("user/b")
    [told] = (await one.settle()).ended
    assert (told.key, told.outcome, told.error) == ("user/b", "failed", "No.")
    assert (told.provider, told.attempts, told.provider_message_id) == ("p", 1, "m")


async def test_what_nobody_took_its_owner_takes_back(
    store: MongoStore, nursery: trio.Nursery
) -> None:
    one, two = await replicas(store, nursery)
    await one.offer()
    await two.take(1)
    settled = await one.settle(1)
    assert (keys(settled), settled.free) == (["user/b"], 1)
    assert await two.take() == ["user/c"]


async def test_what_a_dead_one_held_is_its_owners_again_with_what_was_tried(
    store: MongoStore, nursery: trio.Nursery
) -> None:
    one, two = await replicas(store, nursery)
    await one.offer()
    await two.take(2)
    await start(two.journal, AttemptStart("d", "sms", "user/a", 1, "p"))
    await two.end("user/b")
    await two.replicas.leave()
    await one.replicas.beat()
    settled = await one.settle()
    assert [told.key for told in settled.ended] == ["user/b"]
    assert [(each.key, each.attempts) for each in settled.taken] == [
        ("user/a", [PastAttempt(1, "p", None)])
    ]


async def test_what_was_taken_while_an_answer_was_lost_is_taken_again(
    store: MongoStore, nursery: trio.Nursery
) -> None:
    one, two = await replicas(store, nursery)
    await one.offer()
    await two.take(2)
    two.pool._held = frozenset()
    assert await two.take(0) == KEYS[:2]
    assert await two.take(0) == []


async def test_what_was_taken_so_is_found_too_when_its_dispatch_has_become_ones_own(
    store: MongoStore, nursery: trio.Nursery
) -> None:
    one, two = await replicas(store, nursery)
    third: Replica = await nursery.start(Replica(store).run)
    await one.offer()
    await two.take(2)
    two.pool._held = frozenset()
    await one.replicas.leave()
    await third.replicas.beat()
    await two.replicas.beat()
    assert await two.take(0) == []  # nobody sees it through yet
    recovery = MongoRecovery(
        two.reader, two.journal, lambda: two.replicas.id, lambda: two.replicas.living
    )
    assert [left.id for left in await recovery.unfinished()] == ["d"]
    assert await two.take(0) == KEYS[:2]
    assert await two.take(0) == []


def callers(taken: Sequence[Taken]) -> Counter[str]:
    found = Counter[str]()
    for one in taken:
        found[one.dispatch.caller] += len(one.deliveries["sms"])
    return found


async def test_callers_take_turns_whatever_one_of_them_has_offered_before(
    store: MongoStore, nursery: trio.Nursery
) -> None:
    one, two = await replicas(store, nursery)
    for number in range(8):
        await one.offer_much(f"a{number}", "A", 500)
    await one.offer_much("b", "B", 60)
    await one.offer_much("c", "C", 500)
    assert callers(await two.taken(200)) == {"A": 70, "B": 60, "C": 70}
    assert callers(await two.taken(200)) == {"A": 100, "C": 100}


async def test_a_caller_has_as_much_of_them_as_its_weight_says(
    store: MongoStore, nursery: trio.Nursery
) -> None:
    one, two = await replicas(store, nursery)
    for number in range(3):
        await one.offer_much(f"a{number}", "A", 500)
    await one.offer_much("b", "B", 500)
    taken = await two.taken(200, lambda caller: 3 if caller == "B" else 1)
    assert callers(taken) == {"A": 50, "B": 150}


async def test_the_dispatches_of_a_caller_take_turns_too(
    store: MongoStore, nursery: trio.Nursery
) -> None:
    one, two = await replicas(store, nursery)
    await one.offer_much("first", "A", 300)
    await one.offer_much("second", "A", 100)
    taken = {each.dispatch.id: len(each.deliveries["sms"]) for each in await two.taken(80)}
    assert taken == {"first": 40, "second": 40}


async def test_a_look_takes_of_few_dispatches(store: MongoStore, nursery: trio.Nursery) -> None:
    one, two = await replicas(store, nursery)
    for number in range(50):
        await one.offer_much(f"a{number}", "A", 20)
    for number in range(3):
        await one.offer_much(f"b{number}", "B", 5)
    taken = await two.taken(200)
    assert Counter(each.dispatch.caller for each in taken) == {"A": 8, "B": 3}
    assert callers(taken) == {"A": 160, "B": 15}


async def test_what_a_replica_offers_itself_hides_nothing_of_the_others(
    store: MongoStore, nursery: trio.Nursery
) -> None:
    one, two = await replicas(store, nursery)
    await two.replicas.beat()
    for number in range(2):
        await two.offer_much(f"own{number}", "A", 500)
    await one.offer_much("b", "B", 30)
    assert callers(await two.taken(200)) == {"B": 30}


async def test_of_the_last_of_a_dispatch_a_replica_takes_its_part(
    store: MongoStore, nursery: trio.Nursery
) -> None:
    one, two = await replicas(store, nursery)
    await one.offer_much("d", "A", 150, is_read=True)
    assert [callers(await two.taken(200))["A"] for _ in range(6)] == [75, 38, 20, 17, 0, 0]
