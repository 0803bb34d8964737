"""The journal in the embedded store: order, group commit, and what happens when it cannot write."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import Channel, Cursor, Receipt, delivery_id
from carillon.messages.ports.journal import AttemptStart, Enrolment, NewDispatch, Progress
from carillon.messages.ports.records import PastAttempt, RecordFilter
from carillon.stores.sqlite.database import connect, open_store
from carillon.stores.sqlite.journal.journal import SqliteJournal
from carillon.stores.sqlite.reading import SqliteReader, SqliteRecords, SqliteRecovery
from tests.stores.starting import start

BEGINNING = Progress("sms", Cursor())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    open_store(path).close()
    return path


def dispatch(identity: str, channels: Sequence[Channel]) -> NewDispatch:
    return NewDispatch(identity, channels, "{}")


async def until(true: Callable[[], bool]) -> None:
    with trio.fail_after(5):
        while not true():
            await trio.sleep(0.01)


async def enrol(journal: SqliteJournal, rows: Sequence[Enrolment]) -> Sequence[bool]:
    return await journal.enrol("d", rows, BEGINNING)


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


ODD_TEXTS = ("", "\0", "a\0b", "a", "0", "'", '"\\', "\u20ac \U0001f514", "\ufffe", "long" * 30_000)


def outcomes(path: Path) -> set[tuple[object, ...]]:
    return set(rows(path, "SELECT channel, key, outcome FROM delivery"))


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = connect(path)
    found = connection.execute(query).fetchall()
    connection.close()
    return found


async def test_a_dispatch_is_written_from_beginning_to_end(path: Path) -> None:
    journal = SqliteJournal(path)
    reader = SqliteReader(path, journal.flush)
    records = SqliteRecords(reader)
    async with journal.running():
        await journal.open(dispatch("d", ["sms", "email"]))
        assert await journal.enrol("d", [enrolment("a"), enrolment("b")], BEGINNING) == [True, True]
        first = await records.dispatch("d")
        journal.record(receipt("a"))
        await journal.close("d", {"sent": 1}, None)
        second = await records.dispatch("d")
        page = await records.deliveries("d", RecordFilter(outcomes=["sent"]), "", 10)
    reader.close()
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


async def test_of_two_outcomes_of_a_delivery_within_a_moment_the_later_one_holds(
    path: Path,
) -> None:
    """Another one in doubt before it must not have it written before what it takes back."""
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open(dispatch("d", ["sms"]))
        await journal.enrol("d", [enrolment("a"), enrolment("b")], BEGINNING)
        journal.record(replace(receipt("b"), outcome="in-doubt", reason="unknown-outcome"))
        journal.record(receipt("a"))
        journal.record(
            replace(receipt("a"), outcome="in-doubt", reason="unknown-outcome", late=True)
        )
        await journal.flush()
        assert outcomes(path) == {
            ("sms", "user/a", "in-doubt"),
            ("sms", "user/b", "in-doubt"),
        }


async def test_a_repeated_enrolment_is_known(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open(dispatch("d", ["sms"]))
        await journal.enrol("d", [enrolment("a")], BEGINNING)
        assert await journal.enrol(
            "d", [enrolment("b"), enrolment("a"), enrolment("b")], BEGINNING
        ) == [
            True,
            False,
            False,
        ]
        await journal.open(dispatch("other", ["sms"]))
        assert await journal.enrol("other", [enrolment("a")], BEGINNING) == [True]


async def test_a_dispatch_is_opened_with_its_first_deliveries_in_one_write(path: Path) -> None:
    journal = SqliteJournal(path)
    first = [enrolment("a"), replace(enrolment("a"), channel="email"), enrolment("a")]
    async with journal.running():
        assert await journal.open(dispatch("d", ["sms", "email"]), first) == [True, True, False]
        await journal.flush()
        assert outcomes(path) == {("sms", "user/a", "pending"), ("email", "user/a", "pending")}
        assert not await journal.open(dispatch("empty", ["sms"]))
        again = [enrolment("a"), enrolment("b")]
        assert await journal.enrol("d", again, BEGINNING) == [False, True]
    assert rows(path, "SELECT id, channels FROM dispatch") == [("d", "sms,email"), ("empty", "sms")]


async def test_many_rows_are_all_written_and_the_known_ones_told(path: Path) -> None:
    journal = SqliteJournal(path)
    names = [f"n{number}" for number in range(1500)]
    async with journal.running():
        await journal.open(dispatch("d", ["sms"]), [enrolment("n3"), enrolment("n1400")])
        new = await journal.enrol("d", [enrolment(name) for name in names], BEGINNING)
    assert [number for number, is_new in enumerate(new) if not is_new] == [3, 1400]
    assert rows(path, "SELECT count(*) FROM delivery") == [(1500,)]


async def test_whatever_text_names_a_delivery_finds_it_again(path: Path) -> None:
    journal = SqliteJournal(path)
    all_rows = [Enrolment("sms", text, text) for text in ODD_TEXTS]
    async with journal.running():
        assert await journal.open(dispatch("d", ["sms"]), all_rows) == [True] * len(ODD_TEXTS)
        assert await journal.enrol("d", all_rows, BEGINNING) == [False] * len(ODD_TEXTS)
        for text in ODD_TEXTS:
            one = replace(receipt(""), key=text, error=text, provider_message_id=text)
            journal.record(one)
    found = rows(path, "SELECT key, user_id, error, provider_message_id, outcome FROM delivery")
    assert set(found) == {(text, text, text or None, text or None, "sent") for text in ODD_TEXTS}


async def test_half_a_character_from_a_provider_is_replaced(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open(dispatch("d", ["sms"]), [enrolment("a"), enrolment("b")])
        journal.record(replace(receipt("a"), error="no \ud83d", provider_message_id="\udc00"))
        journal.record(receipt("b"))
        await journal.close("d", {"sent": 2}, None)
        assert journal.is_working
    found = rows(path, "SELECT error, provider_message_id FROM delivery ORDER BY key")
    assert found == [("no ?", "?"), (None, "m-1")]


async def test_each_outcome_of_a_commit_goes_to_its_delivery(path: Path) -> None:
    journal = SqliteJournal(path)
    receipts = [
        receipt("a"),
        replace(receipt("b"), outcome="failed", reason="rejected", error="no", attempts=5),
        replace(receipt("c"), provider="q", provider_message_id=None),
        replace(receipt("a"), dispatch_id="e", channel="email", error="odd"),
    ]
    async with journal.running():
        await journal.open(dispatch("d", ["sms"]), [enrolment(name) for name in "abc"])
        await journal.open(dispatch("e", ["email"]), [replace(enrolment("a"), channel="email")])
        for one in receipts:
            journal.record(one)
    query = (
        "SELECT d.id, channel, key, outcome, reason, error, provider, provider_message_id, attempts"
        " FROM delivery JOIN dispatch AS d ON d.number = dispatch"
    )
    assert set(rows(path, query)) == {
        ("d", "sms", "user/a", "sent", "accepted", None, "p", "m-1", 2),
        ("d", "sms", "user/b", "failed", "rejected", "no", "p", "m-1", 5),
        ("d", "sms", "user/c", "sent", "accepted", None, "q", None, 2),
        ("e", "email", "user/a", "sent", "accepted", "odd", "p", "m-1", 2),
    }


async def test_an_outcome_without_its_delivery_or_dispatch_harms_no_other(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open(dispatch("d", ["sms"]), [enrolment("a")])
        journal.record(replace(receipt("a"), dispatch_id="nobody"))
        journal.record(receipt("nobody"))
        journal.record(receipt("a"))
        await journal.close("d", {"sent": 1}, None)
    assert outcomes(path) == {("sms", "user/a", "sent")}


async def test_outcomes_are_durable_with_the_next_awaited_write(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open(dispatch("d", ["sms"]))
        names = [f"n{number}" for number in range(1500)]
        await journal.enrol("d", [enrolment(name) for name in names], BEGINNING)
        for name in names:
            journal.record(receipt(name))
        await journal.close("d", {"sent": 1500}, None)
        assert rows(path, "SELECT DISTINCT outcome FROM delivery") == [("sent",)]


async def test_what_was_handed_over_is_written_before_it_ends(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open(dispatch("d", ["sms"]))
        await journal.enrol("d", [enrolment("a")], BEGINNING)
        journal.record(receipt("a"))
    assert rows(path, "SELECT outcome FROM delivery") == [("sent",)]


async def test_outcomes_nobody_waits_for_are_written_soon(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open(dispatch("d", ["sms"]))
        await journal.enrol("d", [enrolment("a"), enrolment("b")], BEGINNING)
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
            await journal.enrol("nobody", [enrolment("a")], BEGINNING)
        await journal.open(dispatch("d", ["sms"]))
        assert await journal.enrol("d", [enrolment("a")], BEGINNING) == [True]


async def test_such_a_write_fails_alone(path: Path) -> None:
    journal = SqliteJournal(path)

    async def enrols_for_nobody() -> None:
        with pytest.raises(JournalUnavailable):
            await journal.enrol("nobody", [enrolment("a")], BEGINNING)

    async with journal.running():
        await journal.open(dispatch("d", ["sms"]))
        async with trio.open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(enrols_for_nobody)
                nursery.start_soon(enrol, journal, [enrolment(name)])
        assert journal.is_working
    assert rows(path, "SELECT count(*) FROM delivery") == [(3,)]


async def test_tables_that_cannot_be_written_lose_nothing_and_let_nothing_new_in(
    path: Path,
) -> None:
    journal = SqliteJournal(path)
    connection = sqlite3.connect(path, isolation_level=None)
    async with journal.running():
        connection.execute("ALTER TABLE delivery RENAME TO hidden")
        await journal.open(dispatch("d", ["sms"]), [enrolment("a")])  # the log has it
        await until(lambda: not journal.is_working)
        with pytest.raises(JournalUnavailable):
            await journal.open(dispatch("other", ["sms"]))
        with pytest.raises(JournalUnavailable):
            await journal.enrol("d", [enrolment("b")], BEGINNING)
        connection.execute("ALTER TABLE hidden RENAME TO delivery")
        await until(lambda: journal.is_working)
        assert await journal.enrol("d", [enrolment("b"), enrolment("a")], BEGINNING) == [
            True,
            False,
        ]
    connection.close()
    assert outcomes(path) == {("sms", "user/a", "pending"), ("sms", "user/b", "pending")}


async def test_a_log_that_could_not_be_written_is_tried_again_though_nobody_writes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = SqliteJournal(path)
    async with journal.running():
        monkeypatch.setattr(os, "pwritev", full)
        with pytest.raises(JournalUnavailable, match="written: no space left on device"):
            await journal.open(dispatch("refused", ["sms"]))
        assert not journal.is_working
        assert journal.trouble == "no space left on device"
        monkeypatch.undo()
        await until(lambda: journal.is_working)
        await journal.open(dispatch("d", ["sms"]))
    assert rows(path, "SELECT id FROM dispatch") == [("d",)]


async def test_waiting_tasks_are_committed_together(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open(dispatch("d", ["sms"]))
        async with trio.open_nursery() as nursery:
            for number in range(500):
                nursery.start_soon(enrol, journal, [enrolment(f"n{number}")])
    assert rows(path, "SELECT count(*) FROM delivery") == [(500,)]


async def test_a_failed_commit_is_told_and_outcomes_wait_for_the_next(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open(dispatch("d", ["sms"]))
        await journal.enrol("d", [enrolment("a")], BEGINNING)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("ALTER TABLE delivery RENAME TO hidden")
        journal.record(receipt("a"))
        with pytest.raises(JournalUnavailable):
            await journal.close("d", {"sent": 1}, None)
        working = [journal.is_working]
        connection.execute("ALTER TABLE hidden RENAME TO delivery")
        connection.close()
        await journal.close("d", {"sent": 1}, None)
        assert [*working, journal.is_working] == [False, True]
        assert rows(path, "SELECT outcome FROM delivery") == [("sent",)]


@pytest.mark.slow
@pytest.mark.parametrize("kept", [None, b"{}"])
async def test_no_copy_of_a_long_request_stays_behind(path: Path, kept: bytes | None) -> None:
    journal, before = SqliteJournal(path), 0
    async with journal.running():
        for identity in ("small", "large"):
            before = memory()
            request = b"{" + b" " * (40 << 20 if identity == "large" else 100_000) + b"}"
            await journal.open(NewDispatch(identity, ["sms"], request))
            await journal.close(identity, {}, None if kept is None else request)
            del request
        assert memory() - before < 20 << 20


def memory() -> int:
    """Bytes of this process that are in memory, once what is free has been given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else what other tests left free counts, or hides it
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


async def test_attempts_are_on_record_while_their_delivery_is_pending(path: Path) -> None:
    journal = SqliteJournal(path)
    recovery = SqliteRecovery(reader := SqliteReader(path, journal.flush))
    failed = replace(receipt("a"), outcome="failed", reason="rejected", attempts=1)
    query = "SELECT key, number, provider, result FROM attempt ORDER BY key"
    async with journal.running():
        await journal.open(dispatch("d", ["sms"]), [enrolment("a"), enrolment("b")])
        for name in "ab":
            await start(journal, AttemptStart("d", "sms", f"user/{name}", 1, "p"))
        journal.record(failed)
        await journal.flush()
        assert rows(path, query) == [("user/b", 1, "p", None)], "what ended at once needs none"
        journal.record(receipt("b"))
        await journal.close("d", {"sent": 1, "failed": 1}, "{}")
        assert await journal.redrive("d", RecordFilter(outcomes=["failed"])) == 1
        [again] = await recovery.pending("d", "sms", "", 10)
        assert (again.key, again.attempts, again.starts) == ("user/a", [], 0)
        await start(journal, AttemptStart("d", "sms", "user/a", 1, "q"))
        await journal.flush()
        [again] = await recovery.pending("d", "sms", "", 10)
    reader.close()
    assert (again.attempts, again.starts) == ([PastAttempt(1, "q", None)], 1)
    assert rows(path, "SELECT provider, sum(number) FROM call GROUP BY 1 ORDER BY 1") == [
        ("p", 2),
        ("q", 1),
    ], "each call counts in windows and quotas, whether it has a row or not"
