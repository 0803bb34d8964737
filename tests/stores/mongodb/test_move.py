"""A move may be interrupted anywhere: one store is used, and in the end all of it is there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import trio

from carillon.actors.capacity.ledger import LeaseLedger, Spent, ledger_text, parse_ledger
from carillon.cli.store.boards import boards_of
from carillon.messages.clock import milliseconds
from carillon.messages.model import Cursor, Receipt, delivery_id
from carillon.messages.ports.handovers import Handover
from carillon.messages.ports.journal import (
    AttemptEnd,
    AttemptStart,
    Enrolment,
    IdempotencyKey,
    NewDispatch,
    Progress,
)
from carillon.messages.ports.outbox import SagaEvent
from carillon.messages.ports.records import RecordFilter, Records, Recovery
from carillon.stores.errors import StoreError
from carillon.stores.mongodb import move as mongodb_move
from carillon.stores.mongodb.capacity import put, text_of
from carillon.stores.mongodb.client import Database, check_schema, connected, prepare
from carillon.stores.mongodb.journal.journal import MongoJournal
from carillon.stores.mongodb.move import move
from carillon.stores.mongodb.reading import MongoReader, MongoRecords
from carillon.stores.mongodb.recovery import MongoRecovery
from carillon.stores.mongodb.url import MongoUrl
from carillon.stores.sqlite.database import open_store
from carillon.stores.sqlite.journal.journal import SqliteJournal
from carillon.stores.sqlite.reading import SqliteReader, SqliteRecords, SqliteRecovery
from tests.cli.command_line import invoke
from tests.stores.shelves import MongoShelf, SqliteShelf, entry
from tests.stores.starting import start

pytestmark = pytest.mark.servers

KEY = IdempotencyKey("shop", "/send", "k", "print")
NAMES = ("running", "ended", "driven")


def receipt(dispatch: str, name: str, *, sent: bool) -> Receipt:
    key, identity = f"user/{name}", delivery_id(dispatch, "sms", f"user/{name}")
    if sent:
        return Receipt(
            identity, dispatch, "sms", key, name, "sent", "accepted", "", "p", 1, "m-\ud800"
        )
    return Receipt(identity, dispatch, "sms", key, name, "failed", "rejected", "no", "p", 1)


async def fill(path: Path) -> None:
    """What a store may hold: dispatches that run, ended, or were driven again, and the rest."""
    journal = SqliteJournal(path)
    async with journal.running():
        for name in NAMES:
            key = KEY if name == "ended" else None
            rows = [Enrolment("sms", f"user/{one}", one) for one in "abc"]
            await journal.open(NewDispatch(name, ["sms", "email"], f'"{name}"', key), rows)
            for one in "ab":
                await start(journal, AttemptStart(name, "sms", f"user/{one}", 1, "p"))
            journal.end(AttemptEnd(name, "sms", "user/b", 1, "unavailable"))
            await journal.enrol(name, [], Progress("email", Cursor(0, "x")))
            await journal.flush()  # so that attempts have rows of their own
            if name != "running":
                for one in "abc":
                    journal.record(receipt(name, one, sent=one == "a"))
                await journal.close(name, {"sent": 1, "failed": 2}, f'"kept {name}"')
        await journal.redrive("driven", RecordFilter(outcomes=["failed"]))
        await journal.cancel("driven")
    shelf = SqliteShelf(path)
    shelf.add("user", [{"_id": "ada", "clusters": ["all"]}, {"_id": "b", "x": {"y": [1]}}])
    shelf.add("template", [{"_id": "t", "smsMessage": "Hi"}])
    with shelf.outbox() as outbox, shelf.settings() as settings, shelf.handovers(7) as handovers:
        for number, event in enumerate("abc"):
            await outbox.add(SagaEvent(event, "S", "done", {"n": number}, None), number)
        await outbox.accepted("a", 10)
        await outbox.postponed("b", 50, "away")
        await settings.change("p", {"concurrency": 3}, entry(1))
        await settings.record([entry(2)])
        await handovers.add(Handover("d-1", "running", "sms", "p", "user/a", "a"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    open_store(path).close()
    trio.run(fill, path)
    return path


def moved(path: Path, url: MongoUrl) -> dict[str, int]:
    with closing(open_store(path, moved=True)) as connection, connected(url) as client:
        boards = boards_of(connection, milliseconds())
        return move(connection, client, url, boards, lambda *_: None)


async def told(records: Records, recovery: Recovery) -> list[object]:
    """All that the journal says."""
    found: list[object] = []
    for name in NAMES:
        record = await records.dispatch(name)
        assert record is not None
        found.append(replace(record, channels=sorted(record.channels)))
        page = await records.deliveries(name, RecordFilter(), "", 100)
        deliveries = sorted(page.deliveries, key=lambda one: one.id)
        found += deliveries
        request = await recovery.request(name)
        found.append(request.decode() if isinstance(request, bytes) else request)
    left = sorted(await recovery.unfinished(), key=lambda one: one.id)
    found += [(one.id, set(one.channels), one.cancelled) for one in left]
    found += [dict(one.counts) for one in left]
    for one in left:
        pending = await recovery.pending(one.id, "sms", "", 100)
        found += pending
    found.append(await records.remembered("shop", "/send", "k", 0))
    return found


async def told_by_file(path: Path) -> list[object]:
    async def nothing() -> None:
        await trio.lowlevel.checkpoint()

    reader = SqliteReader(path, nothing)
    with closing(reader):
        return await told(SqliteRecords(reader), SqliteRecovery(reader))


async def told_by_mongodb(url: MongoUrl) -> list[object]:
    with MongoShelf(url).store() as store:
        journal = MongoJournal(store, lambda: "r", lambda: True)
        async with journal.running():
            reader = MongoReader(store, journal.flush)
            living = frozenset({"r"})
            recovery = MongoRecovery(reader, journal, lambda: "r", lambda: living)
            return await told(MongoRecords(reader), recovery)


def test_the_journal_says_the_same_as_before(path: Path, mongodb: MongoUrl) -> None:
    before = trio.run(told_by_file, path)
    counts = moved(path, mongodb)
    assert (counts["dispatches"], counts["deliveries"], counts["attempts"]) == (3, 9, 6)
    assert trio.run(told_by_mongodb, mongodb) == before


def test_everything_else_goes_along(path: Path, mongodb: MongoUrl, tmp_path: Path) -> None:
    with closing(open_store(path)) as here, closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        here.backup(copy)  # what still stands in the write-ahead log comes along
    moved(path, mongodb)
    old, new = SqliteShelf(tmp_path / "copy.db"), MongoShelf(mongodb)

    async def rest(shelf: SqliteShelf | MongoShelf) -> list[object]:
        with shelf.outbox() as outbox, shelf.settings() as settings, shelf.handovers(8) as kept:
            page = await settings.audit(None, "", 10)
            events = await outbox.events(None, "", 10)
            due = await outbox.due(60, 10)
            await settings.change("q", {}, entry(3))
            await outbox.add(SagaEvent("d", "S", "done", {}, None), 90)
            later = (await settings.audit(None, "", 10), await outbox.events(None, "", 10))
            return [
                shelf.documents("user"),
                shelf.documents("template"),
                page,
                events,
                due.events,
                await settings.overrides(),
                await kept.find("d-1"),
                later,
            ]

    assert trio.run(rest, new) == trio.run(rest, old)


@pytest.fixture(params=["users", "deliveries", "dispatches", "check"])
def interrupted(
    request: pytest.FixtureRequest,
    path: Path,
    mongodb: MongoUrl,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A store whose move broke off."""

    def broken(*_: object) -> Iterator[object]:
        raise RuntimeError("killed")

    if request.param == "users":
        monkeypatch.setattr(mongodb_move, "import_documents", broken)
    elif request.param == "check":
        monkeypatch.setattr(mongodb_move, "_check", broken)
    else:
        monkeypatch.setitem(mongodb_move._SOURCES, request.param, broken)
    with pytest.raises(RuntimeError, match="killed"):
        moved(path, mongodb)
    monkeypatch.undo()
    return path


def test_what_was_interrupted_is_used_where_it_was_and_goes_on(
    interrupted: Path, mongodb: MongoUrl
) -> None:
    with connected(mongodb) as client:
        for look in (partial(prepare, indexes={}), check_schema):
            with pytest.raises(StoreError, match="filled in part only"):
                look(client, mongodb)
    open_store(interrupted).close()
    trio.run(more, interrupted)
    before = trio.run(told_by_file, interrupted)
    assert moved(interrupted, mongodb)["dispatches"] == 4
    assert trio.run(told_by_mongodb, mongodb) == before
    with pytest.raises(StoreError, match="has moved"):
        open_store(interrupted)


async def more(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open(NewDispatch("later", ["sms"], "{}"))


def about(url: MongoUrl, state: str) -> None:
    with connected(url) as client:
        database: Database = client[url.database]
        database["carillon"].update_one({"_id": "filled"}, {"$set": {"state": state}})


def test_a_process_that_died_between_both_stores_is_gone_on_with(
    path: Path, mongodb: MongoUrl
) -> None:
    moved(path, mongodb)
    about(mongodb, "filling")
    with pytest.raises(StoreError, match="has moved"):
        open_store(path)
    moved(path, mongodb)
    with connected(mongodb) as client:
        check_schema(client, mongodb)


def test_a_mongodb_with_a_journal_or_of_another_store_is_not_written(
    path: Path, mongodb: MongoUrl, tmp_path: Path
) -> None:
    trio.run(opened, mongodb)
    with pytest.raises(StoreError, match="has a journal of its own"):
        moved(path, mongodb)
    with connected(mongodb) as client:
        client[mongodb.database]["dispatches"].delete_many({})
    moved(path, mongodb)
    other = tmp_path / "other.db"
    open_store(other).close()
    with pytest.raises(StoreError, match="filled from another store"):
        moved(other, mongodb)
    elsewhere = MongoUrl(mongodb.text, mongodb.database, "mongodb://elsewhere/x")
    with pytest.raises(StoreError, match="has moved to"):
        moved(path, elsewhere)


async def opened(url: MongoUrl) -> None:
    with MongoShelf(url).store() as store:
        journal = MongoJournal(store, lambda: "r", lambda: True)
        async with journal.running():
            await journal.open(NewDispatch("theirs", ["sms"], "{}"))


async def test_a_moved_key_is_free_again_when_it_is_old(path: Path, mongodb: MongoUrl) -> None:
    await trio.to_thread.run_sync(moved, path, mongodb)
    with MongoShelf(mongodb).store() as store:
        journal = MongoJournal(store, lambda: "r", lambda: True)
        async with journal.running():
            await trio.sleep(0.01)
            old = IdempotencyKey("shop", "/send", "k", "other", expiry=0.001)
            await journal.open(NewDispatch("new", ["sms"], "{}", old))
            reader = MongoReader(store, journal.flush)
            found = await MongoRecords(reader).remembered("shop", "/send", "k", 0)
    assert found is not None
    assert found.dispatch_id == "new"


@pytest.mark.parametrize(
    ("words", "reason"),
    [(["x.db"], "must name a MongoDB"), (["mongodb://127.0.0.1:1/x"], "cannot be used")],
)
def test_a_target_that_cannot_be_used_is_named(
    path: Path, words: Sequence[str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carillon.stores.mongodb.client.START_SECONDS", 0.3)
    result = invoke("store", "move", *words, "--store", str(path))
    assert result.exit_code in {1, 2}
    assert reason in result.stderr
    open_store(path).close()


def called(path: Path, *calls: tuple[str, float, int], paused: float = 0.0) -> None:
    """Calls to providers, so many seconds ago, and how many each time; p asked for a pause."""
    now = milliseconds()
    with closing(open_store(path)) as connection, connection:
        rows = [
            (name, round(now - ago * 1000) if ago else 0, number) for name, ago, number in calls
        ]
        connection.execute("BEGIN")
        connection.executemany("INSERT OR REPLACE INTO call VALUES (?, ?, ?)", rows)
        if paused:
            pause = ("p", now + round(paused * 1000), paused)
            connection.execute("INSERT INTO pause VALUES (?, ?, ?)", pause)
        connection.execute("COMMIT")


def board(url: MongoUrl, provider: str) -> LeaseLedger:
    with connected(url) as client:
        return parse_ledger(text_of(client[url.database], provider))


def test_calls_and_pauses_stand_on_the_boards(path: Path, mongodb: MongoUrl) -> None:
    called(path, ("p", 5, 3), ("q", 0, 2), ("q", 7200, 40), paused=30)
    moved(path, mongodb)
    now = milliseconds() / 1000
    p, q = board(mongodb, "p"), board(mongodb, "q")
    assert sum(one.number for one in p.past if now - one.at < 60) >= 3
    assert [one.number for one in q.past] == [40, 2]
    assert q.past[0].at == pytest.approx(now - 7200, abs=900)
    assert q.past[1].at == pytest.approx(now, abs=60)  # open when the process ended: as of now
    assert p.pause is not None
    assert p.pause.left == pytest.approx(30, abs=20)
    assert q.pause is None


def test_what_a_service_left_on_a_board_stays(path: Path, mongodb: MongoUrl) -> None:
    gone = Spent(datetime(2100, 1, 1, tzinfo=UTC), 7)
    with connected(mongodb) as client:
        put(client[mongodb.database], "p", ledger_text(LeaseLedger(spent=(gone,), turn=3)))
    called(path, ("p", 5, 3))
    moved(path, mongodb)
    found = board(mongodb, "p")
    assert (found.spent, found.turn) == ((gone,), 3)
    assert sum(one.number for one in found.past) >= 3


def test_a_board_that_is_none_of_ours_is_told(path: Path, mongodb: MongoUrl) -> None:
    with connected(mongodb) as client:
        put(client[mongodb.database], "p", "nonsense")
    called(path, ("p", 5, 3))
    with pytest.raises(StoreError, match="The board of shares holds what is none of ours"):
        moved(path, mongodb)
    open_store(path).close()  # which has not moved
