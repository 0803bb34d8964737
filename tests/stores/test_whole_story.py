"""What both stores tell of a dispatch that is cancelled, crashes, or has pending deliveries."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
import trio

from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import Cursor, Outcome, Receipt, delivery_id
from carillon.messages.ports.journal import (
    AttemptEnd,
    AttemptStart,
    DispatchEnd,
    Enrolment,
    NewDispatch,
    Progress,
)
from carillon.messages.ports.records import (
    AudienceRecord,
    DeliveryRecord,
    DispatchRecord,
    PastAttempt,
    RecordFilter,
    Result,
)
from carillon.stores.mongodb.client import connected
from carillon.stores.mongodb.url import MongoUrl
from carillon.stores.sqlite import database as sqlite
from carillon.stores.sqlite.database import open_store
from tests.stores.journal_bench import Bench, MongoBench, SeverableStore, SqliteBench
from tests.stores.starting import start

ALL = RecordFilter(outcomes=["cancelled", "failed"])


class World:
    """One dispatch on two channels, and shorthands for what is done to it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    async def open(self, total: int | None = 5, *, is_read: bool = False) -> None:
        rows = [self.row("sms", "a"), self.row("push", "a")]
        new = NewDispatch("d", ["sms", "push"], "{}", None, "shop", total, is_read)
        await self.bench.journal.open(new, rows)

    def row(self, channel: str, name: str) -> Enrolment:
        return Enrolment(channel, f"user/{name}", name)  # type: ignore[arg-type]

    async def enrol(self, channel: str, *names: str, is_read: bool = False) -> None:
        progress = Progress(channel, Cursor(1), is_read)  # type: ignore[arg-type]
        await self.bench.journal.enrol("d", [self.row(channel, one) for one in names], progress)

    async def attempt(
        self, number: int, provider: str, result: Result | None = None, error: str = ""
    ) -> None:
        await start(self.bench.journal, AttemptStart("d", "sms", "user/a", number, provider))
        if result is not None:
            end = AttemptEnd("d", "sms", "user/a", number, result, error)
            self.bench.journal.end(end)

    async def start_all(self, *places: tuple[str, str]) -> Mapping[int, JournalUnavailable]:
        """Begin first attempts together: which of them must not be made."""
        told = trio.Event()
        failed: list[Mapping[int, JournalUnavailable]] = []

        def hear(failures: Mapping[int, JournalUnavailable]) -> None:
            failed.append(failures)
            told.set()

        starts = [AttemptStart("d", channel, f"user/{one}", 1, "p") for channel, one in places]  # type: ignore[arg-type]
        self.bench.journal.start_all(starts, hear)
        with trio.fail_after(30):
            await told.wait()
        await trio.sleep(0.05)
        [failures] = failed
        return failures

    def answer(self, outcome: Outcome) -> None:
        for channel in ("sms", "push"):
            identity = delivery_id("d", channel, "user/a")
            receipt = Receipt(identity, "d", channel, "user/a", "a", outcome, "cancelled")
            self.bench.journal.record(receipt)

    async def told(self) -> DispatchRecord:
        found = await self.bench.records.dispatch("d")
        assert found is not None
        return found

    async def state(self) -> str:
        return (await self.told()).state

    async def delivery(self) -> DeliveryRecord:
        wanted = RecordFilter(channel="sms", user_id="a")
        [found] = (await self.bench.records.deliveries("d", wanted, "", 10)).deliveries
        return found

    async def listed(self, state: str) -> int:
        page = await self.bench.records.dispatches(state, "", 10)  # type: ignore[arg-type]
        return len(page.dispatches)


@pytest.fixture(params=["sqlite", pytest.param("mongodb", marks=pytest.mark.servers)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "sqlite":
        bench: Bench = SqliteBench(tmp_path)
        await bench.open()
        yield World(bench)
        await bench.close()
        return
    url: MongoUrl = request.getfixturevalue("mongodb")
    with connected(url) as client:
        bench = MongoBench(lambda: SeverableStore(client, url.database), "one")
        await bench.open()
        yield World(bench)
        await bench.close()


async def test_starts_that_are_handed_over_together_are_on_record_when_that_is_told(
    world: World,
) -> None:
    await world.open()
    await world.enrol("sms", "b")
    assert await world.start_all(("sms", "a"), ("push", "a"), ("sms", "b")) == {}
    await world.bench.journal.flush()
    for channel, key in (("sms", "user/a"), ("push", "user/a"), ("sms", "user/b")):
        pending = await world.bench.recovery.pending("d", channel, "", 10)  # type: ignore[arg-type]
        [found] = [one for one in pending if one.key == key]
        assert (found.attempts, found.starts) == ([PastAttempt(1, "p", None)], 1)


async def test_it_is_cancelling_while_something_is_pending_and_cancelled_then(world: World) -> None:
    await world.open()
    await world.bench.journal.cancel("d")
    assert await world.state() == "cancelling"
    assert (await world.listed("cancelling"), await world.listed("cancelled")) == (1, 0)
    world.answer("cancelled")
    await world.bench.journal.close("d", {"cancelled": 2}, "{}", DispatchEnd(is_read=False))
    assert await world.state() == "cancelled"
    assert (await world.listed("cancelling"), await world.listed("cancelled")) == (0, 1)


@pytest.mark.parametrize("state", ["cancelled", "crashed"])
async def test_it_stays_so_when_it_is_driven_again_and_so_does_what_was_not_read(
    world: World, state: str
) -> None:
    await world.open()
    world.answer("cancelled")
    crash = "a bug" if state == "crashed" else None
    if crash is None:
        await world.bench.journal.cancel("d")
    await world.bench.journal.close("d", {"cancelled": 2}, "{}", DispatchEnd(False, crash))
    for _ in range(2):
        assert await world.bench.journal.redrive("d", ALL) == 2
        assert await world.state() == "running"
        [left] = [await world.bench.recovery.find_unfinished("d")]
        assert left is not None
        assert (left.cancelled, left.caller) == (False, "shop")
        world.answer("failed")
        await world.bench.journal.close("d", {"failed": 2}, "{}", DispatchEnd(is_read=True))
        told = await world.told()
        assert (told.state, told.reason, told.caller) == (state, crash, "shop")
        assert told.audience == AudienceRecord(1, 5, complete=False)


async def test_a_redriven_one_that_is_cancelled_stays_so(world: World) -> None:
    await world.open(is_read=True)
    world.answer("failed")
    await world.bench.journal.close("d", {"failed": 2}, "{}")
    assert await world.state() == "done"
    await world.bench.journal.redrive("d", ALL)
    await world.bench.journal.cancel("d")
    assert await world.state() == "cancelling"
    world.answer("cancelled")
    await world.bench.journal.close("d", {"cancelled": 2}, "{}")
    assert await world.state() == "cancelled"
    assert (await world.told()).audience == AudienceRecord(1, 1, complete=True)


async def test_its_audience_is_what_every_channel_has_read(world: World) -> None:
    await world.open()
    await world.enrol("sms", "b", "c", "d")
    assert (await world.told()).audience == AudienceRecord(1, 5, complete=False)
    await world.enrol("push", "b")
    assert (await world.told()).audience == AudienceRecord(2, 5, complete=False)
    await world.enrol("push", "c", "d", is_read=True)
    assert (await world.told()).audience == AudienceRecord(4, 5, complete=False)
    await world.enrol("sms", is_read=True)
    assert (await world.told()).audience == AudienceRecord(4, 4, complete=True)


async def test_how_many_members_clusters_have_is_known_once_they_were_read(world: World) -> None:
    await world.open(total=None)
    assert (await world.told()).audience == AudienceRecord(1, None, complete=False)
    await world.enrol("sms", "b")
    await world.enrol("push", "b")
    world.answer("failed")
    await world.bench.journal.close("d", {"failed": 2}, None, DispatchEnd(is_read=True))
    assert (await world.told()).audience == AudienceRecord(2, 2, complete=True)


async def test_a_pending_delivery_tells_attempts_provider_and_error_at_once(world: World) -> None:
    await world.open()
    one = await world.delivery()
    assert (one.attempts, one.provider, one.error) == (0, None, None)
    await world.attempt(1, "first", "unstarted")
    one = await world.delivery()
    assert (one.attempts, one.provider, one.error) == (0, None, None)
    await world.attempt(2, "first", "unavailable", "first answered 503: ½ a word \ud83d")
    one = await world.delivery()
    assert (one.attempts, one.provider, one.outcome) == (1, "first", "pending")
    assert one.error is not None
    assert one.error.startswith("first answered 503: ½")
    await world.attempt(3, "second", "throttled", "second answered 429")
    await world.attempt(4, "second")
    one = await world.delivery()
    assert (one.attempts, one.provider, one.error) == (3, "second", "second answered 429")


async def test_attempts_before_it_was_driven_again_do_not_count(world: World) -> None:
    await world.open()
    await world.attempt(1, "first", "unavailable", "away")
    world.answer("failed")
    await world.bench.journal.close("d", {"failed": 2}, "{}")
    await world.bench.journal.redrive("d", ALL)
    one = await world.delivery()
    assert (one.attempts, one.provider, one.error) == (0, None, None)
    await world.attempt(2, "second", "unavailable", "away again")
    one = await world.delivery()
    assert (one.attempts, one.provider, one.error) == (1, "second", "away again")


def test_a_store_of_an_earlier_version_says_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "carillon.db"
    earlier = sqlite._MIGRATIONS[: sqlite._MIGRATIONS.index(sqlite._WHOLE_STORY)]
    with closing(sqlite3.connect(path)) as connection:
        for statement in ";\n".join(earlier).split(";\n"):
            connection.execute(statement)
        for number, (state, ended) in enumerate(
            [("done", 5), ("cancelled", 5), ("running", None)], 1
        ):
            connection.execute(
                "INSERT INTO dispatch VALUES (?, ?, 'sms', ?, 1, ?, NULL)",
                (number, state, state, ended),
            )
        connection.execute(f"PRAGMA user_version={len(earlier)}")
        connection.commit()
    with closing(open_store(path)) as connection:
        rows = connection.execute("SELECT id, is_read, caller, total FROM dispatch").fetchall()
    assert rows == [("done", 1, "", None), ("cancelled", 0, "", None), ("running", 0, "", None)]


async def test_a_pending_delivery_is_at_every_provider_that_was_tried_since(world: World) -> None:
    async def at(provider: str, **more: object) -> list[str]:
        wanted = RecordFilter(provider=provider, **more)  # type: ignore[arg-type]
        page = await world.bench.records.deliveries("d", wanted, "", 1)
        return [f"{one.channel} {one.outcome}" for one in page.deliveries]

    await world.open()
    await world.attempt(1, "first", "unstarted")
    assert await at("first") == []
    await world.attempt(2, "first", "unavailable", "away")
    await world.attempt(3, "second")
    assert await at("first") == await at("second") == ["sms pending"]
    assert await at("first", outcomes=["pending"]) == ["sms pending"]
    assert await at("first", outcomes=["failed"]) == await at("third") == []
    assert await at("first", channel="push") == []
    identity = delivery_id("d", "sms", "user/a")
    world.bench.journal.record(
        Receipt(identity, "d", "sms", "user/a", "a", "failed", "rejected", "no", "second", 3)
    )
    assert (await at("first"), await at("second")) == ([], ["sms failed"])


async def test_dispatches_whose_ids_begin_so_are_listed_alone(world: World) -> None:
    names = ["a-1", "a-2", "b"]
    for name in names:
        await world.bench.journal.open(NewDispatch(name, ["sms"], "{}", None))
    for prefix in ("", "a", "a-2", "b", "A", "x", "a-2-", "\U0010ffff"):
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await world.bench.records.dispatches(None, cursor, 1, prefix)
            seen += [one.id for one in page.dispatches]
            cursor = page.next
        assert sorted(seen) == [name for name in names if name.startswith(prefix)]
        ended = await world.bench.records.dispatches("done", "", 9, prefix)
        assert not ended.dispatches
