"""The journal in MongoDB: fences, repeats after lost answers, and a store that goes away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import pytest
import trio
from pymongo.errors import AutoReconnect

from carillon.messages.errors import Conflict, JournalUnavailable, Superseded, TryLater
from carillon.messages.model import Cursor, Outcome, Receipt, delivery_id
from carillon.messages.ports.journal import (
    AttemptEnd,
    AttemptStart,
    Enrolment,
    IdempotencyKey,
    NewDispatch,
    Progress,
)
from carillon.messages.ports.records import PastAttempt, RecordFilter
from carillon.stores.mongodb.client import Database, connected, prepare
from carillon.stores.mongodb.journal.dispatches import KEY_INDEXES, void
from carillon.stores.mongodb.schema import JOURNAL_INDEXES
from carillon.stores.mongodb.url import MongoUrl
from tests.stores.journal_bench import MongoBench, SeverableStore
from tests.stores.starting import start

pytestmark = pytest.mark.servers

T = TypeVar("T")
START = Progress("sms", Cursor())


class LosingStore(SeverableStore):
    """One that loses the answer of the next jobs, and so does them twice; or fails after all."""

    losing = 0
    failing = 0

    async def run(
        self, job: Callable[[Database], T], within: float, failure: type[TryLater], task: str
    ) -> T:
        def lossy(database: Database) -> T:
            done = job(database)
            if self.losing:
                self.losing -= 1
                raise AutoReconnect("the answer was lost")
            return done

        done = await super().run(lossy, within, failure, task)
        if self.failing and task == "write the journal":
            self.failing -= 1
            raise failure("no answer in time")
        return done


class Desk:
    """Replicas on one database, each with a store of its own and in a task of its own."""

    def __init__(self, connect: Callable[[], LosingStore], nursery: trio.Nursery) -> None:
        self._connect = connect
        self._nursery = nursery

    async def replica(self, name: str) -> Replica:
        """One more, that knows of no other."""
        started: Replica = await self._nursery.start(self._run, name)
        return started

    async def _run(self, name: str, task_status: trio.TaskStatus[Replica]) -> None:
        store = self._connect()
        bench = MongoBench(lambda: store, name)
        await bench.open()
        try:
            task_status.started(Replica(bench, store))
            await trio.sleep_forever()
        finally:
            await bench.close()


class Replica:
    """A journal with shorthands."""

    def __init__(self, bench: MongoBench, store: LosingStore) -> None:
        self.bench = bench
        self.store = store
        self.journal = bench.journal
        self.records = bench.records
        self.recovery = bench.recovery

    async def open(self, *keys: str, named: IdempotencyKey | None = None, id_: str = "d") -> None:
        rows = [Enrolment("sms", key, key) for key in keys]
        await self.journal.open(NewDispatch(id_, ["sms"], "{}", named), rows)

    async def enrol(self, *keys: str) -> list[bool]:
        rows = [Enrolment("sms", key, key) for key in keys]
        return list(await self.journal.enrol("d", rows, START))

    async def start(self, key: str, number: int = 1) -> None:
        await start(self.journal, AttemptStart("d", "sms", key, number, "p"))

    def end(self, key: str, outcome: Outcome = "sent", error: str = "") -> None:
        identity = delivery_id("d", "sms", key)
        receipt = Receipt(
            identity, "d", "sms", key, key, outcome, "accepted", error, "p", 1, f"id-{key}"
        )
        self.journal.record(receipt)

    async def outcomes(self) -> dict[str, str]:
        page = await self.records.deliveries("d", RecordFilter(), "", 100)
        return {one.user_id: one.outcome for one in page.deliveries}


@pytest.fixture
def connect(mongodb: MongoUrl) -> Iterator[Callable[[], LosingStore]]:
    with connected(mongodb) as client:
        prepare(client, mongodb, {**JOURNAL_INDEXES, **KEY_INDEXES})
        yield lambda: LosingStore(client, mongodb.database)


@pytest.fixture
def desk(connect: Callable[[], LosingStore], nursery: trio.Nursery) -> Desk:
    return Desk(connect, nursery)


@pytest.fixture
async def one(desk: Desk) -> Replica:
    return await desk.replica("one")


def key(name: str = "k", fingerprint: str = "f", expiry: float = 60.0) -> IdempotencyKey:
    return IdempotencyKey("caller", "/send", name, fingerprint, expiry)


async def test_two_replicas_cannot_make_the_same_attempt(desk: Desk) -> None:
    one, two = await desk.replica("one"), await desk.replica("two")
    await one.open("a")
    await one.start("a")
    one.journal.end(AttemptEnd("d", "sms", "a", 1, "unavailable"))
    await one.journal.flush()
    [left] = await two.recovery.unfinished()
    assert left.id == "d"
    [pending] = await two.recovery.pending("d", "sms", "", 10)
    assert pending.attempts == [PastAttempt(1, "p", "unavailable")]
    await two.start("a", 2)
    with pytest.raises(Superseded) as refused:
        await one.start("a", 2)
    assert not refused.value.in_doubt


async def test_who_goes_on_is_in_doubt_when_the_other_was_quicker(desk: Desk) -> None:
    one, two = await desk.replica("one"), await desk.replica("two")
    await one.open("a")
    await two.recovery.unfinished()
    await one.start("a")
    with pytest.raises(Superseded) as refused:
        await two.start("a")
    assert refused.value.in_doubt


async def test_of_starts_handed_over_together_only_those_of_others_fail(desk: Desk) -> None:
    one, two = await desk.replica("one"), await desk.replica("two")
    await one.open("a", "b", "c")
    await one.start("b")
    await two.recovery.unfinished()
    told = trio.Event()
    failed: dict[int, JournalUnavailable] = {}

    def hear(failures: Mapping[int, JournalUnavailable]) -> None:
        failed.update(failures)
        told.set()

    two.journal.start_all([AttemptStart("d", "sms", key, 1, "p") for key in "abc"], hear)
    with trio.fail_after(30):
        await told.wait()
    [(place, error)] = failed.items()
    assert (place, type(error)) == (1, Superseded)


async def test_a_delivery_ends_once(desk: Desk) -> None:
    one, two = await desk.replica("one"), await desk.replica("two")
    await one.open("a")
    await two.recovery.unfinished()
    two.end("a", "in-doubt")
    await two.journal.flush()
    one.end("a", "sent")
    await one.journal.flush()
    assert await two.outcomes() == {"a": "in-doubt"}


async def test_what_is_told_late_takes_the_place_of_what_was_told(one: Replica) -> None:
    await one.open("a")
    one.end("a", "sent")
    await one.journal.close("d", {"sent": 1}, None)
    for outcome in ("failed", "sent"):
        told = Receipt("x", "d", "sms", "a", "a", outcome, "rejected", outcome, "p", late=True)
        one.journal.record(told)
        page = await one.records.deliveries("d", RecordFilter(), "", 10)
        assert [(one.outcome, one.error) for one in page.deliveries] == [(outcome, outcome)]


async def test_an_ending_whose_writer_died_is_told_by_who_goes_on(desk: Desk) -> None:
    one, two = await desk.replica("one"), await desk.replica("two")
    await one.open("a", "b")
    one.end("a", "failed", "No.")
    await one.journal.flush()
    await one.store.run(_forget_outcomes, 5, JournalUnavailable, "prepare")
    await two.recovery.unfinished()
    first, second = await two.recovery.pending("d", "sms", "", 10)
    assert first.ended is not None
    assert (first.ended.outcome, first.ended.error) == ("failed", "No.")
    assert first.ended.provider_message_id == "id-a"
    assert second.ended is None
    assert await two.outcomes() == {"a": "failed", "b": "pending"}


def _forget_outcomes(database: Database) -> None:
    database["deliveries"].update_many({}, {"$set": {"outcome": "pending"}})


async def test_what_was_taken_over_cannot_be_closed_or_enrolled_by_the_old_one(
    desk: Desk,
) -> None:
    one, two = await desk.replica("one"), await desk.replica("two")
    await one.open("a")
    await two.recovery.unfinished()
    with pytest.raises(Superseded):
        await one.enrol("b")
    await one.journal.close("d", {"sent": 1}, None)
    record = await two.records.dispatch("d")
    assert record is not None
    assert record.state == "running"


async def test_an_attempt_is_ended_by_who_made_it_and_once(desk: Desk) -> None:
    one, two = await desk.replica("one"), await desk.replica("two")
    await one.open("a")
    await two.recovery.unfinished()
    await two.start("a")
    # As of a call that `one` was about to make under the same number, and did not.
    one.journal.end(AttemptEnd("d", "sms", "a", 1, "unstarted"))
    await one.journal.flush()
    [pending] = await two.recovery.pending("d", "sms", "", 10)
    assert pending.attempts == [PastAttempt(1, "p", None)]
    for result in ("unavailable", "unstarted"):
        two.journal.end(AttemptEnd("d", "sms", "a", 1, result))
        await two.journal.flush()
    [pending] = await two.recovery.pending("d", "sms", "", 10)
    assert pending.attempts == [PastAttempt(1, "p", "unavailable")]


async def test_a_dispatch_that_was_refused_goes_on_where_it_was_taken_over(desk: Desk) -> None:
    one, two = await desk.replica("one"), await desk.replica("two")
    await one.open("a")
    await two.recovery.unfinished()
    await one.store.run(lambda it: void(it, "d", "one", 1), 5, JournalUnavailable, "prepare")
    record = await two.records.dispatch("d")
    assert record is not None
    assert (record.state, record.counts) == ("running", {"pending": 1})


async def test_what_lives_is_not_taken_over(desk: Desk) -> None:
    one, two = await desk.replica("one"), await desk.replica("two")
    await one.open("a")
    two.bench.living = frozenset({"one", "two"})
    assert await two.recovery.unfinished() == []
    two.bench.living = frozenset({"two"})
    assert [one.id for one in await two.recovery.unfinished()] == ["d"]
    assert await two.recovery.unfinished(["d"]) == []


@pytest.mark.parametrize("losses", [1, 2])
async def test_a_write_whose_answer_was_lost_is_done_once(one: Replica, losses: int) -> None:
    one.store.losing = losses
    await one.open("a", "b", named=key())
    one.store.losing = losses
    assert await one.enrol("b", "c", "c") == [False, True, False]
    one.store.losing = losses
    await one.start("a")
    one.end("a")
    one.end("b", "failed")
    one.end("c", "failed")
    one.store.losing = losses
    await one.journal.close("d", {"sent": 1, "failed": 2}, "{}")
    one.store.losing = losses
    assert await one.journal.redrive("d", RecordFilter(outcomes=["failed"])) == 2
    record = await one.records.dispatch("d")
    assert record is not None
    assert (record.state, record.counts) == ("running", {"sent": 1, "pending": 2})


async def test_what_was_enrolled_by_a_failed_call_is_new_to_the_next(one: Replica) -> None:
    await one.open()
    one.store.failing = 1
    with pytest.raises(JournalUnavailable):
        await one.enrol("a", "b")
    assert await one.enrol("a", "b") == [True, True]
    assert await one.enrol("a", "b") == [False, False]


async def test_a_dispatch_that_was_refused_is_made_void(one: Replica) -> None:
    one.store.failing = 1
    with pytest.raises(JournalUnavailable):
        await one.open("a", named=key())
    await one.journal.flush()
    while not one.bench.journal.is_working:
        await trio.sleep(0.01)
    await one.journal.flush()
    assert await one.records.dispatch("d") is None
    assert (await one.records.dispatches(None, "", 10)).dispatches == []
    assert await one.records.remembered("caller", "/send", "k", 0) is None
    await one.open("a", named=key(), id_="e")
    assert await one.records.dispatch("e") is not None


async def test_a_key_is_one_dispatchs_until_it_expires(desk: Desk) -> None:
    one, two = await desk.replica("one"), await desk.replica("two")
    await one.open(named=key(expiry=0.3))
    with pytest.raises(Conflict):
        await two.open(named=key(expiry=0.3), id_="e")
    assert await two.records.dispatch("e") is None
    await trio.sleep(0.35)
    await two.open(named=key(fingerprint="g"), id_="f")
    found = await one.records.remembered("caller", "/send", "k", 0)
    assert found is not None
    assert (found.dispatch_id, found.fingerprint) == ("f", "g")


async def test_two_at_once_with_one_key_are_one_dispatch(desk: Desk) -> None:
    replicas = [await desk.replica("one"), await desk.replica("two")]
    opened: list[str] = []

    async def open_it(replica: Replica, identity: str) -> None:
        try:
            await replica.open(named=key(), id_=identity)
            opened.append(identity)
        except Conflict:
            pass

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(open_it, replicas[number % 2], f"d{number}")
    found = await replicas[0].records.remembered("caller", "/send", "k", 0)
    assert found is not None
    assert opened == [found.dispatch_id]


async def test_long_requests_fit_into_a_document(one: Replica) -> None:
    text = '{"recipients": ["' + '","'.join(str(number) for number in range(3_000_000)) + '"]}'
    await one.journal.open(NewDispatch("d", ["sms"], text))
    assert await one.recovery.request("d") == text.encode()
    await one.journal.open(NewDispatch("e", ["sms"], text.encode()))
    assert await one.recovery.request("e") == text.encode()


async def test_half_a_character_does_no_harm(one: Replica) -> None:
    await one.open("a")
    one.end("a", "failed", "half \ud83d a character")
    page = await one.records.deliveries("d", RecordFilter(), "", 10)
    assert [each.error for each in page.deliveries] == ["half ? a character"]


async def test_what_is_old_is_erased_a_part_at_a_time(one: Replica) -> None:
    for identity in ("d", "e"):
        await one.open("a", "b", id_=identity)
    await one.start("a")
    one.end("a")
    await one.journal.close("d", {"sent": 1}, None)
    later = 2**53
    while await one.journal.retire(later):
        pass
    assert await one.records.dispatch("d") is None
    assert await one.records.dispatch("e") is not None
    assert await one.outcomes() == {}


async def test_without_a_lease_nothing_is_accepted_and_nothing_starts(one: Replica) -> None:
    await one.open("a")
    one.bench.may_write = False
    with pytest.raises(JournalUnavailable):
        await one.start("a")
    with pytest.raises(JournalUnavailable):
        await one.open(id_="e")
    one.bench.may_write = True
    with trio.fail_after(5):
        while not one.bench.journal.is_working:
            await trio.sleep(0.01)
    await one.start("a", 2)
