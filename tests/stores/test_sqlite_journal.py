"""The journal in the embedded store: order, group commit, and what happens when it cannot write."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import trio

from messages.errors import JournalUnavailable
from messages.model import Receipt, delivery_id
from messages.ports import Enrolment, RecordFilter
from stores.sqlite import connect, open_store
from stores.sqlite_journal import SqliteJournal
from stores.sqlite_records import SqliteRecords


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    open_store(path).close()
    return path


def enrolment(identity: str) -> Enrolment:
    return Enrolment("sms", f"user/{identity}", f"user of {identity}")


def receipt(identity: str) -> Receipt:
    return Receipt(
        delivery_id("d", "sms", f"user/{identity}"),
        "d",
        "sms",
        f"user/{identity}",
        f"user of {identity}",
        "sent",
        "accepted",
        "",
        "p",
        2,
        "m-1",
    )


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = connect(path)
    found = connection.execute(query).fetchall()
    connection.close()
    return found


async def test_a_dispatch_is_written_from_beginning_to_end(path: Path) -> None:
    journal, records = SqliteJournal(path), SqliteRecords(path)
    async with journal.running():
        await journal.open("d", ["sms", "email"])
        assert await journal.enrol("d", [enrolment("a"), enrolment("b")]) == [True, True]
        first = await records.dispatch("d")
        journal.record(receipt("a"))
        await journal.close("d", {"sent": 1})
        second = await records.dispatch("d")
        page = await records.deliveries("d", RecordFilter(outcomes=["sent"]), "", 10)
    records.close()
    assert first is not None
    assert (first.state, first.channels, first.counts) == (
        "running",
        ("sms", "email"),
        {"pending": 2},
    )
    assert second is not None
    assert (second.state, second.counts) == ("done", {"pending": 1, "sent": 1})
    [one] = page.deliveries
    assert one.id == delivery_id("d", "sms", "user/a")
    assert (one.user_id, one.provider, one.attempts) == ("user of a", "p", 2)
    assert one.provider_message_id == "m-1"


async def test_a_repeated_enrolment_is_known(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open("d", ["sms"])
        await journal.enrol("d", [enrolment("a")])
        assert await journal.enrol("d", [enrolment("b"), enrolment("a"), enrolment("b")]) == [
            True,
            False,
            False,
        ]
        await journal.open("other", ["sms"])
        assert await journal.enrol("other", [enrolment("a")]) == [True]


async def test_outcomes_are_durable_with_the_next_awaited_write(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open("d", ["sms"])
        names = [f"n{number}" for number in range(1500)]
        await journal.enrol("d", [enrolment(name) for name in names])
        for name in names:
            journal.record(receipt(name))
        await journal.close("d", {"sent": 1500})
        assert rows(path, "SELECT DISTINCT outcome FROM delivery") == [("sent",)]


async def test_what_was_handed_over_is_written_before_it_ends(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open("d", ["sms"])
        await journal.enrol("d", [enrolment("a")])
        journal.record(receipt("a"))
    assert rows(path, "SELECT outcome FROM delivery") == [("sent",)]


async def test_outcomes_nobody_waits_for_are_written_soon(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open("d", ["sms"])
        await journal.enrol("d", [enrolment("a"), enrolment("b")])
        for name in "ab":
            journal.record(receipt(name))
            with trio.fail_after(5):
                while rows(path, f"SELECT outcome FROM delivery WHERE key = 'user/{name}'") != [
                    ("sent",)
                ]:
                    await trio.sleep(0.01)


async def test_a_write_for_an_unknown_dispatch_fails_and_nobody_hangs(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        with trio.fail_after(5), pytest.raises(JournalUnavailable):
            await journal.enrol("nobody", [enrolment("a")])
        await journal.open("d", ["sms"])
        assert await journal.enrol("d", [enrolment("a")]) == [True]


async def test_waiting_tasks_are_committed_together(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open("d", ["sms"])
        async with trio.open_nursery() as nursery:
            for number in range(500):
                nursery.start_soon(journal.enrol, "d", [enrolment(f"n{number}")])
    assert rows(path, "SELECT count(*) FROM delivery") == [(500,)]


async def test_a_failed_commit_is_told_and_outcomes_wait_for_the_next(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open("d", ["sms"])
        await journal.enrol("d", [enrolment("a")])
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("ALTER TABLE delivery RENAME TO hidden")
        journal.record(receipt("a"))
        with pytest.raises(JournalUnavailable):
            await journal.close("d", {"sent": 1})
        working = [journal.is_working]
        connection.execute("ALTER TABLE hidden RENAME TO delivery")
        connection.close()
        await journal.close("d", {"sent": 1})
        assert [*working, journal.is_working] == [False, True]
        assert rows(path, "SELECT outcome FROM delivery") == [("sent",)]
