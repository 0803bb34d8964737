"""A dispatch and the attempts that start at once are durable together, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from carillon.messages.errors import JournalUnavailable
from carillon.messages.ports.journal import AttemptStart, Enrolment, NewDispatch
from carillon.stores.sqlite.database import open_store
from carillon.stores.sqlite.journal.batch import Starts, read_group
from carillon.stores.sqlite.journal.journal import LONG, SqliteJournal
from carillon.stores.sqlite.journal.redo_log import RedoLog
from tests.stores.starting import start

ROWS = [Enrolment("sms", f"user/{name}", name) for name in "ab"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    open_store(path).close()
    return path


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was appended to the redo log, write by write."""
    found: list[bytes] = []
    append = RedoLog.append

    def counting(self: RedoLog, text: bytes, applied: int) -> int:
        found.append(text)
        return append(self, text, applied)

    monkeypatch.setattr(RedoLog, "append", counting)
    return found


class Worker:
    """Waits for a delivery, as an actor does, and puts its attempt on record."""

    def __init__(self, journal: SqliteJournal, identity: str = "d") -> None:
        self.came = trio.Event()
        self.withdrawn = False
        self.told: list[str] = []
        self._journal = journal
        self._identity = identity

    async def work(self) -> None:
        await self.came.wait()
        try:
            await start(self._journal, AttemptStart(self._identity, "sms", "user/a", 1, "p"))
            self.told.append("withdrawn" if self.withdrawn else "durable")
        except JournalUnavailable:
            self.told.append("unavailable, withdrawn" if self.withdrawn else "unavailable")

    def withdraw(self) -> None:
        self.withdrawn = True

    async def open(self, text: str = "{}") -> None:
        dispatch = NewDispatch(self._identity, ["sms"], text)
        new = await self._journal.open_with_starts(dispatch, ROWS, self.came.set, self.withdraw)
        assert new == [True, True]


async def test_the_first_attempt_is_written_with_its_dispatch(
    path: Path, writes: list[bytes]
) -> None:
    journal = SqliteJournal(path)
    async with journal.running(), trio.open_nursery() as nursery:
        worker = Worker(journal)
        nursery.start_soon(worker.work)
        await trio.testing.wait_all_tasks_blocked()
        await worker.open()
        await trio.testing.wait_all_tasks_blocked()
        assert worker.told == ["durable"]
        assert len(writes) == 1
    group = read_group(writes[0], 1)
    assert [one.dispatch.id for one in group.openings] == ["d"]
    assert list(group.starts) == [Starts("d", "sms", 1, "p", ["user/a"])]


async def test_whoever_opens_in_every_pass_holds_up_nobody(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running(), trio.open_nursery() as nursery:
        numbers = iter(range(10_000))

        async def open_on() -> None:
            while True:
                name = f"other{next(numbers)}"
                nursery.start_soon(Worker(journal, name).open)
                await trio.lowlevel.checkpoint()

        with trio.move_on_after(30) as scope:
            nursery.start_soon(open_on)
            await Worker(journal).open()
        assert not scope.cancelled_caught
        nursery.cancel_scope.cancel()


async def test_a_long_request_begins_once_it_is_durable(path: Path, writes: list[bytes]) -> None:
    journal = SqliteJournal(path)
    async with journal.running(), trio.open_nursery() as nursery:
        worker = Worker(journal)
        nursery.start_soon(worker.work)
        await worker.open("x" * (LONG + 1))
        await trio.testing.wait_all_tasks_blocked()
        assert worker.told == ["durable"]
    assert not any(b"xxx" in text for text in writes)


def refusing(times: int) -> Callable[..., int]:
    """The system's call that fails so often, and works then."""
    real, left = os.pwritev, [times]

    def write(*arguments: object) -> int:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)  # type: ignore[arg-type]

    return write


async def refused(opening: Callable[[], Awaitable[None]]) -> None:
    with pytest.raises(JournalUnavailable):
        await opening()


@pytest.mark.parametrize("pause", [0, 1, 2, 3])
async def test_no_attempt_of_a_dispatch_that_was_not_written_is_made(
    pause: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of one that comes with it, nor of one that comes later and could be written."""
    journal = SqliteJournal(path)
    async with journal.running(), trio.open_nursery() as nursery:
        worker = Worker(journal)

        async def work_later() -> None:
            await worker.came.wait()
            for _ in range(pause):
                await trio.lowlevel.checkpoint()
            await worker.work()

        nursery.start_soon(work_later)
        await trio.testing.wait_all_tasks_blocked()
        monkeypatch.setattr(os, "pwritev", refusing(1))
        await refused(worker.open)
        await trio.testing.wait_all_tasks_blocked()
        assert worker.told in (["withdrawn"], ["unavailable, withdrawn"])
