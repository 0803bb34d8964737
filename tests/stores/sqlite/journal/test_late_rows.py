"""Deliveries are durable in the redo log at once, and a row in the tables once they have ended."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio

from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import Cursor, Receipt, delivery_id
from carillon.messages.ports.journal import (
    AttemptEnd,
    AttemptStart,
    Enrolment,
    NewDispatch,
    Progress,
)
from carillon.messages.ports.records import RecordFilter
from carillon.stores.sqlite.database import connect, open_store
from carillon.stores.sqlite.journal import journal as journals
from carillon.stores.sqlite.journal.journal import SqliteJournal
from carillon.stores.sqlite.reading import SqliteReader, SqliteRecords, SqliteRecovery
from tests.stores.starting import start

_COUNTING = """
CREATE TABLE written (what TEXT, key TEXT);
CREATE TRIGGER inserted AFTER INSERT ON delivery BEGIN
    INSERT INTO written VALUES ('inserted', new.key); END;
CREATE TRIGGER updated AFTER UPDATE ON delivery BEGIN
    INSERT INTO written VALUES ('updated', new.key); END;
CREATE TRIGGER tried AFTER INSERT ON attempt BEGIN
    INSERT INTO written VALUES ('tried', new.key); END;
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    open_store(path).close()
    return path


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(connect(path)) as connection:
        return connection.execute(query).fetchall()


def counting(path: Path) -> None:
    """Have it written down what is written of deliveries."""
    with closing(connect(path)) as connection:
        connection.executescript(_COUNTING)


class Life:
    """One process on a store, with a dispatch over one channel."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.journal = journal

    async def open(self, *names: str) -> None:
        await self.journal.open(NewDispatch("d", ["sms"], "{}"), [_row(name) for name in names])

    async def enrol(self, *names: str, position: int = 0) -> Sequence[bool]:
        progress = Progress("sms", Cursor(position, "at"))
        return await self.journal.enrol("d", [_row(name) for name in names], progress)

    async def start(self, *names: str, number: int = 1) -> None:
        for name in names:
            await start(self.journal, AttemptStart("d", "sms", f"user/{name}", number, "p"))

    def send(self, *names: str) -> None:
        for name in names:
            key = f"user/{name}"
            identity = delivery_id("d", "sms", key)
            self.journal.record(
                Receipt(
                    identity, "d", "sms", key, name, "sent", "accepted", "", "p", 1, f"m-{name}"
                )
            )


def _row(name: str) -> Enrolment:
    return Enrolment("sms", f"user/{name}", name)


@asynccontextmanager
async def life(path: Path) -> AsyncGenerator[Life]:
    journal = SqliteJournal(path)
    async with journal.running():
        yield Life(journal)


async def until(journal: SqliteJournal) -> None:
    """Return once it works again."""
    while True:
        await trio.sleep(0.01)
        if journal.is_working:
            return


def killed(path: Path) -> Path:
    """The files of a store as they are at this moment."""
    folder = path.parent / f"killed-{len(list(path.parent.iterdir()))}"
    folder.mkdir()
    for file in path.parent.glob(f"*{path.name}*"):
        shutil.copy(file, folder)
    # Its mark knows its file by the inode, which a copy has not.
    return folder / path.name


async def test_what_ends_before_a_commit_is_written_once(path: Path) -> None:
    counting(path)
    async with life(path) as it:
        await it.open("a")
        assert await it.enrol("b", "c", "d") == [True] * 3
        await it.start("a", "b", "c")
        it.send("a", "b")
        await it.journal.flush()
        assert rows(path, "SELECT * FROM written") == [
            ("inserted", "user/a"),
            ("inserted", "user/b"),
            ("inserted", "user/c"),
            ("inserted", "user/d"),
            ("tried", "user/c"),
        ]
        it.send("c")
    final = "SELECT key, user_id, outcome, provider, attempts, provider_message_id FROM delivery"
    assert rows(path, final) == [
        *((f"user/{n}", n, "sent", "p", 1, f"m-{n}") for n in "abc"),
        ("user/d", "d", "pending", None, 0, None),
    ]
    assert rows(path, "SELECT count(*) FROM delivery WHERE created_at > ended_at") == [(0,)]
    assert rows(path, "SELECT sum(number) FROM call WHERE provider = 'p'") == [(3,)]


async def test_no_commit_is_waited_for(path: Path) -> None:
    async with life(path) as it:
        await it.open()
        await it.journal.flush()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # nobody else can write now
            with trio.fail_after(5):
                assert await it.enrol("a", "b") == [True, True]
                await it.start("a")
            other.execute("ROLLBACK")


async def test_readers_see_what_is_in_the_log_only(path: Path) -> None:
    async with life(path) as it:
        reader = SqliteReader(path, it.journal.flush)
        records = SqliteRecords(reader)
        await it.open("a")
        for number, name in enumerate("bcd", 1):
            await it.enrol(name)
            it.send(name)
            found = await records.dispatch("d")
            page = await records.deliveries("d", RecordFilter(outcomes=["sent"]), "", 10)
            assert found is not None
            assert found.counts == {"pending": 1, "sent": number}
            assert [one.user_id for one in page.deliveries] == list("bcd"[:number])
        reader.close()


async def test_a_killed_process_leaves_everything_in_its_log(path: Path) -> None:
    async with life(path) as it:
        await it.open("a")
        await it.journal.flush()
        await it.enrol("b", "c", position=3)
        await it.enrol("d", position=7)
        await it.start("b", "c")
        it.send("b")
        await it.start("d")  # which makes durable what was handed over
        left = killed(path)
    assert rows(left, "SELECT key FROM delivery") == [("user/a",)]
    async with life(left) as it:
        recovery = SqliteRecovery(reader := SqliteReader(left, it.journal.flush))
        [unfinished] = await recovery.unfinished()
        pending = await recovery.pending("d", "sms", "", 10)
        reader.close()
        assert (unfinished.counts, unfinished.progress) == ({"sent": 1}, {"sms": Cursor(7, "at")})
        assert [(one.key, len(one.attempts)) for one in pending] == [
            ("user/a", 0),
            ("user/c", 1),
            ("user/d", 1),
        ]
        assert await it.enrol("c", "d", "e") == [False, False, True]
        assert await it.enrol("f", "g") == [True, True]
    assert rows(left, "SELECT count(*) FROM delivery") == [(7,)]


async def test_what_is_known_is_told_whatever_its_order(path: Path) -> None:
    async with life(path) as it:
        await it.open("c", "a")
        assert await it.enrol("b", "c", "d") == [True, False, True]
        assert await it.enrol("e", "e") == [True, False]
        assert await it.enrol("g", "f") == [True, True]
        assert await it.enrol("g", "h") == [False, True]
        assert await it.enrol("i", "j") == [True, True]
        assert await it.enrol("j") == [False]
        assert await it.enrol() == []
        # In the tables half a character is replaced, so two keys may be one there.
        assert await it.enrol("z\ud800", "z\ud801") == [True, False]
    assert rows(path, "SELECT count(*) FROM delivery") == [(11,)]


async def test_tasks_that_enrol_at_once_are_each_told_the_truth(path: Path) -> None:
    told: dict[str, list[bool]] = {}

    async def enrol(it: Life, name: str) -> None:
        told.setdefault(name, []).extend(await it.enrol(name))

    async with life(path) as it:
        await it.open()
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(enrol, it, f"{number * 7 % 100:03}")
    assert {name: sorted(new) for name, new in told.items()} == {
        f"{number:03}": [False, True] for number in range(100)
    }
    assert rows(path, "SELECT count(*) FROM delivery") == [(100,)]


async def test_what_could_not_be_logged_is_new_once_it_can(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with life(path) as it:
        await it.open("a")
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwritev", full)
            with pytest.raises(JournalUnavailable):
                await it.enrol("b", "c")
        with trio.fail_after(10):
            await until(it.journal)
        assert await it.enrol("b", "c") == [True, True]
        assert await it.enrol("d") == [True]
    assert rows(path, "SELECT key FROM delivery") == [(f"user/{name}",) for name in "abcd"]


async def test_one_that_was_cancelled_while_it_waited_may_be_known(path: Path) -> None:
    async with life(path) as it:
        await it.open()
        with trio.CancelScope() as scope:
            scope.cancel()
            await it.enrol("a")
        assert await it.enrol("a", "b") == [False, True]


async def test_a_delivery_that_goes_on_keeps_its_attempts(path: Path) -> None:
    async with life(path) as it:
        recovery = SqliteRecovery(reader := SqliteReader(path, it.journal.flush))
        await it.open()
        await it.enrol("a", "b")
        await it.start("a", "b")
        for name in "ab":
            end = AttemptEnd("d", "sms", f"user/{name}", 1, "unavailable", "busy")
            it.journal.end(end)
        await it.start("a", "b", number=2)
        it.send("b")
        await it.journal.flush()
        [one] = await recovery.pending("d", "sms", "", 10)
        reader.close()
    assert (one.key, [each.result for each in one.attempts]) == ("user/a", ["unavailable", None])
    assert rows(path, "SELECT sum(number) FROM call WHERE at > 0") == [(3,)]
    assert rows(path, "SELECT number FROM call WHERE at = 0") == [(1,)]


async def test_the_log_does_not_run_away_from_the_tables(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "MOST_AHEAD", 3)
    async with life(path) as it:
        await it.open()
        await it.journal.flush()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await it.enrol(*"abcd") == [True] * 4
            with trio.move_on_after(0.2) as waiting:
                await it.enrol("e")
            assert waiting.cancelled_caught
            other.execute("ROLLBACK")
        assert await it.enrol("e", "f") == [True, True]


@pytest.mark.parametrize("order", ["sorted", "mixed"])
async def test_many_slices_are_each_delivery_once(path: Path, order: str) -> None:
    names = [f"{number:05}" for number in range(3000)]
    if order == "mixed":
        names = [names[number * 7 % 3000] for number in range(3000)]
    async with life(path) as it:
        await it.open()
        for at in range(0, 3000, 250):
            part = names[at : at + 250]
            assert await it.enrol(*part) == [True] * 250
            it.send(*part[:200])
            await trio.lowlevel.checkpoint()
        it.send(*(name for at in range(0, 3000, 250) for name in names[at + 200 : at + 250]))
        await it.journal.close("d", {"sent": 3000}, None)
        assert rows(path, "SELECT outcome, count(*) FROM delivery GROUP BY 1") == [("sent", 3000)]
