"""Calls of earlier processes are counted once each, whatever becomes of their deliveries."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio

from carillon.messages.model import Receipt, delivery_id
from carillon.messages.ports.journal import AttemptEnd, AttemptStart, Enrolment, NewDispatch
from carillon.messages.ports.records import RecordFilter, Result
from carillon.stores.sqlite.calls import FINE, GRAIN, Dating, MachineClock, past_calls, tidy
from carillon.stores.sqlite.database import CALLS, open_store, transaction
from carillon.stores.sqlite.journal.journal import SqliteJournal
from tests.stores.starting import start

DAY = 86_400_000


def now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    open_store(path).close()
    return path


def counted(path: Path, since: int = 0, provider: str = "p") -> int:
    with closing(sqlite3.connect(path)) as connection:
        return sum(number for _, number in past_calls(connection, provider, since, now()))


class Life:
    """One process on a store."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.journal = journal

    async def open(self, dispatch: str, *keys: str) -> None:
        rows = [Enrolment("sms", key, key) for key in keys]
        await self.journal.open(NewDispatch(dispatch, ["sms"], "{}"), rows)

    async def start(self, dispatch: str, key: str, number: int = 1) -> None:
        await start(self.journal, AttemptStart(dispatch, "sms", key, number, "p"))

    def end(self, dispatch: str, key: str, number: int, result: Result) -> None:
        self.journal.end(AttemptEnd(dispatch, "sms", key, number, result))

    def answer(self, dispatch: str, key: str) -> None:
        identity = delivery_id(dispatch, "sms", key)
        self.journal.record(
            Receipt(identity, dispatch, "sms", key, key, "failed", "rejected", "no", "p", 1)
        )


@asynccontextmanager
async def life(path: Path) -> AsyncGenerator[Life]:
    journal = SqliteJournal(path)
    async with journal.running():
        yield Life(journal)


async def send(it: Life, dispatch: str, keys: Sequence[str]) -> None:
    await it.open(dispatch, *keys)
    for key in keys:
        await it.start(dispatch, key)
        it.answer(dispatch, key)
    await it.journal.close(dispatch, {"failed": len(keys)}, "{}")


async def test_a_call_counts_when_it_ended(path: Path) -> None:
    async with life(path) as it:
        await send(it, "d", "abc")
        await it.journal.flush()
        assert counted(path) == counted(path, now() - 10_000) == 3
    assert counted(path) == 3


async def test_a_redrive_changes_nothing_over_restarts(path: Path) -> None:
    async with life(path) as it:
        await send(it, "d", "abc")
    before = now()
    await trio.sleep(0.05)
    for _ in range(2):
        async with life(path) as it:
            assert await it.journal.redrive("d", RecordFilter()) in {3, 0}
            await it.journal.flush()
    assert (counted(path), counted(path, before + 1)) == (3, 0)


async def test_what_is_erased_counts_all_the_same(path: Path) -> None:
    async with life(path) as it:
        await send(it, "d", "abc")
        while await it.journal.retire(now() + 1000):
            pass
        await it.journal.flush()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM attempt").fetchone() == (0,)
    assert counted(path) == 3


async def test_a_call_that_is_open_counts_once_when_its_process_has_died(path: Path) -> None:
    async with life(path) as it:
        await it.open("d", "a", "b")
        await it.start("d", "a")
        await it.journal.flush()
        assert counted(path) == 1
    began = now()
    await trio.sleep(0.05)
    async with life(path) as it:
        assert counted(path, began) == 1
        it.answer("d", "a")  # in doubt: what is told of it is no other call
        await it.start("d", "b")
        it.answer("d", "b")
        await it.journal.flush()
        assert counted(path) == 2
    async with life(path):
        assert counted(path) == 2


async def test_a_call_that_never_started_does_not_count(path: Path) -> None:
    async with life(path) as it:
        await it.open("d", "a")
        await it.start("d", "a", 1)
        it.end("d", "a", 1, "unstarted")
        await it.journal.flush()
        assert counted(path) == 0
        await it.start("d", "a", 2)
        it.end("d", "a", 2, "unavailable")
        await it.start("d", "a", 3)
        it.answer("d", "a")
        await it.journal.flush()
    assert counted(path) == 2


async def test_an_attempt_whose_end_nobody_told_counts(path: Path) -> None:
    async with life(path) as it:
        await it.open("d", "a")
        await it.start("d", "a", 1)
        await it.journal.flush()
        await it.start("d", "a", 2)  # its worker had crashed
        it.end("d", "a", 1, "unavailable")
        it.answer("d", "a")
        await it.journal.flush()
    assert counted(path) == 2


async def test_a_commit_that_fails_counts_nothing_and_the_next_one_all(path: Path) -> None:
    async with life(path) as it:
        await it.open("d", "a")
        await it.journal.flush()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute(
                "CREATE TRIGGER no BEFORE INSERT ON call BEGIN SELECT RAISE(ABORT, ''); END"
            )
            await it.start("d", "a")
            it.answer("d", "a")
            with trio.move_on_after(5):
                while it.journal.is_working:
                    await trio.sleep(0.01)
            other.execute("DROP TRIGGER no")
        with trio.fail_after(10):
            while counted(path) != 1:
                await trio.sleep(0.05)


def test_old_calls_are_kept_by_the_grain_and_then_erased(path: Path) -> None:
    moment = now() // GRAIN * GRAIN
    old, older = moment - FINE - 5 * GRAIN, moment - 3 * FINE
    with closing(open_store(path)) as connection:
        rows = [("p", older + n, 2) for n in range(100)]
        rows += [("p", old + n, 1) for n in range(100)] + [("p", moment - n, 1) for n in range(100)]
        connection.executemany("INSERT INTO call VALUES (?, ?, ?)", rows)
        tidy(connection, older, moment)
        found = past_calls(connection, "p", 0, moment)
        assert found[:2] == [(older + GRAIN - 1, 200), (old + GRAIN - 1, 100)]
        assert len(found) == 102
        tidy(connection, older + GRAIN, moment)
        assert past_calls(connection, "p", 0, moment)[0] == (old + GRAIN - 1, 100)


def test_a_grain_ends_with_its_minute_so_that_no_quota_counts_it_for_the_wrong_day(
    path: Path,
) -> None:
    midnight = now() // DAY * DAY
    with closing(open_store(path)) as connection:
        connection.execute("INSERT INTO call VALUES ('p', ?, 7)", (midnight - 1,))
        connection.execute("INSERT INTO call VALUES ('p', ?, 5)", (midnight,))
        tidy(connection, 0, midnight + 2 * FINE)
        assert sum(n for _, n in past_calls(connection, "p", midnight, midnight + DAY)) == 5


@pytest.mark.slow
def test_a_day_of_a_million_calls_is_told_soon_and_in_few_rows(path: Path) -> None:
    moment = now()
    with closing(open_store(path)) as connection:
        rows = (("p", moment - n * 85, 1) for n in range(1_000_000))
        with transaction(connection):
            connection.executemany("INSERT INTO call VALUES (?, ?, ?)", rows)
            tidy(connection, moment - 2 * DAY, moment)
        began = time.process_time()
        found = past_calls(connection, "p", moment - DAY, moment)
        assert time.process_time() - began < 0.5
        assert len(found) < 20_000
        assert sum(number for _, number in found) == 1_000_000


class SetClock(MachineClock):
    """A machine's clock that a test sets."""

    def __init__(self, boot: str, offset: int) -> None:
        self.boot = boot
        self._offset = offset

    def set(self, by: int) -> None:
        self._offset += by

    def offset(self) -> int:
        return self._offset


def times(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    return past_calls(connection, "p", 0, 0)


def test_what_a_day_that_never_came_has_dated_counts_today(path: Path) -> None:
    clock, today = SetClock("b", 0), 1000 * DAY
    with closing(open_store(path)) as connection:
        dating = Dating(clock)
        dating.begin(connection, today)
        connection.execute("INSERT INTO call VALUES ('p', ?, 1)", (today,))
        clock.set(400 * DAY)
        assert dating.follow(connection, today + 400 * DAY + 10)
        connection.execute("INSERT INTO call VALUES ('p', ?, 2)", (today + 400 * DAY + 20,))
        assert times(connection) == [(today, 1), (today + 400 * DAY + 20, 2)]
        clock.set(-400 * DAY)
        assert dating.follow(connection, today + 30)
        assert times(connection) == [(today, 1), (today + 20, 2)]
        assert not dating.follow(connection, today + 40)


@pytest.mark.parametrize(("boot", "dated"), [("b", 20), ("another", 30)])
def test_the_same_over_a_restart_of_the_service_or_of_the_machine(
    path: Path, boot: str, dated: int
) -> None:
    today = 1000 * DAY
    with closing(open_store(path)) as connection:
        Dating(SetClock("b", 2 * DAY)).begin(connection, today + 2 * DAY)
        connection.execute("INSERT INTO call VALUES ('p', ?, 2)", (today + 2 * DAY + 20,))
        Dating(SetClock(boot, 0)).begin(connection, today + 30)
        assert times(connection) == [(today + dated, 2)]


def test_a_clock_that_is_set_forward_leaves_the_days_as_they_were(path: Path) -> None:
    today = 1000 * DAY
    with closing(open_store(path)) as connection:
        Dating(SetClock("b", 0)).begin(connection, today)
        connection.execute("INSERT INTO call VALUES ('p', ?, 2)", (today,))
        Dating(SetClock("b", DAY)).begin(connection, today + DAY)
        assert times(connection) == [(today, 2)]


def test_a_dating_that_was_not_committed_is_done_again(path: Path) -> None:
    clock, today = SetClock("b", 0), 1000 * DAY
    with closing(open_store(path)) as connection:
        dating = Dating(clock)
        dating.begin(connection, today)
        clock.set(-DAY)
        assert dating.follow(connection, today)
        dating.roll_back()
        assert dating.follow(connection, today)


def test_a_store_of_before_knows_the_calls_that_its_journal_tells_of(path: Path) -> None:
    moment = now() - 1000
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE call")
        connection.execute("DROP TABLE pause")
        connection.execute(
            "INSERT INTO dispatch (number, id, channels, state, created_at)"
            " VALUES (1, 'd', 'sms', 'running', ?)",
            (moment,),
        )
        for key, outcome, tries_from, ended in (
            ("a", "sent", 0, moment),
            ("redriven", "pending", 1, None),
            ("open", "pending", 0, None),
        ):
            connection.execute(
                "INSERT INTO delivery (dispatch, channel, key, user_id, outcome, tries_from,"
                " created_at, ended_at) VALUES (1, 'sms', ?, 'u', ?, ?, ?, ?)",
                (key, outcome, tries_from, moment, ended),
            )
            connection.execute(
                "INSERT INTO attempt (dispatch, channel, key, number, provider, started_at)"
                " VALUES (1, 'sms', ?, 1, 'p', ?)",
                (key, moment - 2 * DAY if key == "redriven" else moment),
            )
        for statement in CALLS.split(";\n"):
            connection.execute(statement)
    assert (counted(path), counted(path, moment - DAY), counted(path, moment + 1)) == (3, 2, 1)
