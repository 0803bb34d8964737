from __future__ import annotations

import json
import shutil
import stat
from contextlib import closing
from pathlib import Path

import pytest
import trio

from carillon.messages.model import Cursor, Document
from carillon.messages.ports.journal import AttemptStart, Enrolment, NewDispatch, Progress
from carillon.stores.sqlite.database import connect, only_server, open_store
from carillon.stores.sqlite.journal.journal import SqliteJournal
from carillon.stores.sqlite.journal.redo_log import log_paths
from carillon.stores.sqlite.life import why_paused
from carillon.stores.sqlite.mark import mark_path
from tests.cli.command_line import invoke, script
from tests.running import running
from tests.stores.starting import start

ADA: Document = {"_id": "ada", "emailAddress": "ada@example.com"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """One in which a dispatch runs: a delivery waits, and a call for another one was open."""
    path = tmp_path / "store.db"
    open_store(path).close()
    trio.run(begun, path)
    return path


async def begun(path: Path) -> None:
    journal = SqliteJournal(path)
    async with journal.running():
        rows = [Enrolment("sms", f"user/{name}", name) for name in "ab"]
        await journal.open(NewDispatch("d", ["sms"], "{}"), rows)
        await start(journal, AttemptStart("d", "sms", "user/a", 1, "p"))


def damaged(store: Path) -> None:
    """Take away groups that the tables lack, as of a process that was killed."""
    with closing(connect(store)) as connection:
        connection.execute("UPDATE life SET applied = applied - 1")
    for log in log_paths(store):
        log.unlink()


def copied(folder: Path, target: Path) -> None:
    for file in folder.glob("*store.db*"):
        shutil.copy(file, target / file.name)


def contents(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.glob("store.db*")}


def test_a_store_is_told_whole_with_what_is_running(store: Path) -> None:
    result = invoke("store", "check", "--store", str(store))
    assert result.exit_code == 0
    assert "Tables: whole." in result.stdout
    told = json.loads(invoke("store", "check", "--json", "--store", str(store)).stdout)
    assert (told["pending"], told["openCalls"], told["events"]) == (2, 1, 0)
    assert (told["tables"], told["redoLog"], told["paused"]) == ([], None, None)
    [dispatch] = told["running"]
    assert (dispatch["dispatchId"], dispatch["channels"]) == ("d", ["sms"])


def test_a_backup_is_one_private_file_that_is_paused(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "backups" / "b.db"
    target.parent.mkdir()
    result = invoke("store", "backup", str(target), "--json", "--store", str(store))
    assert json.loads(result.stdout)["backup"] == str(target)
    assert [one.name for one in target.parent.iterdir()] == ["b.db"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    told = invoke("store", "check", "--store", str(target))
    assert (told.exit_code, "`carillon store backup` made" in told.stdout) == (1, True)
    again = invoke("store", "backup", str(target), "--store", str(store))
    assert (again.exit_code, "is there already" in again.stderr) == (1, True)


def test_a_backup_that_cannot_be_written_leaves_nothing(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "nowhere" / "b.db"
    result = invoke("store", "backup", str(target), "--store", str(store))
    assert (result.exit_code, "cannot be written" in result.stderr) == (1, True)


async def test_a_backup_holds_what_only_the_log_of_a_killed_service_has(
    tmp_path: Path,
) -> None:
    path, killed = tmp_path / "store.db", tmp_path / "killed"
    open_store(path).close()
    killed.mkdir()
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open(NewDispatch("d", ["sms"], "{}"))
        copied(tmp_path, killed)
    target = tmp_path / "b.db"
    assert invoke("store", "backup", str(target), "--store", str(killed / path.name)).exit_code == 0
    with closing(connect(target)) as connection:
        assert connection.execute("SELECT id FROM dispatch").fetchall() == [("d",)]


async def test_what_only_the_log_of_a_killed_service_has_is_told_and_left_there(
    tmp_path: Path,
) -> None:
    path, killed = tmp_path / "store.db", tmp_path / "killed"
    open_store(path).close()
    killed.mkdir()
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open(NewDispatch("d", ["sms"], "{}"), [Enrolment("sms", "user/a", "a")])
        rows = [Enrolment("sms", f"user/{name}", name) for name in "bc"]
        await journal.enrol("d", rows, Progress("sms", Cursor()))
        await start(journal, AttemptStart("d", "sms", "user/b", 1, "p"))
        copied(tmp_path, killed)
    left = killed / path.name
    for _ in range(2):
        told = json.loads(invoke("store", "check", "--json", "--store", str(left)).stdout)
        assert (told["pending"], told["openCalls"]) == (3, 1)
    with closing(connect(left)) as connection:
        assert connection.execute("SELECT count(*) FROM delivery").fetchone() == (0,)


async def test_a_running_service_is_backed_up_and_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, users=[ADA]) as service:
        assert (await service.send(recipients=["ada"])).json() == {"failures": []}
        ran = await script(tmp_path, "store", "backup", "copy.db")
        assert (ran.returncode, ran.stderr) == (0, b"")
        checked = await script(tmp_path, "store", "check", "--json")
        assert json.loads(checked.stdout)["served"] is True
        assert (await service.send(recipients=["ada"])).json() == {"failures": []}
    with closing(connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("SELECT count(*) FROM delivery").fetchone() == (1,)


async def test_what_a_log_has_lost_is_counted_among_what_may_be_sent_twice(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    open_store(path).close()
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open(NewDispatch("d", ["sms"], "{}"), [Enrolment("sms", "user/a", "a")])
        await journal.flush()
        tables = contents(tmp_path)
        rows = [Enrolment("sms", f"user/{name}", name) for name in "bcd"]
        await journal.enrol("d", rows, Progress("sms", Cursor()))
        mark = mark_path(path).read_bytes()
    for file, content in tables.items():
        file.write_bytes(content)
    mark_path(path).write_bytes(mark)
    for log in log_paths(path):
        log.unlink()
    told = json.loads(invoke("store", "check", "--json", "--store", str(path)).stdout)
    assert (told["redoLog"] is not None, told["pending"]) == (True, 4)
    text = invoke("store", "check", "--store", str(path)).stdout
    assert "1 pending deliveries of 1 dispatches" in text
    assert "3 deliveries of what the redo log has lost" in text


async def test_a_copy_of_a_running_service_has_what_only_its_log_has(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    open_store(path).close()
    journal = SqliteJournal(path)
    with only_server(path):
        async with journal.running():
            await journal.open(NewDispatch("d", ["sms"], "{}"), [Enrolment("sms", "user/a", "a")])
            await journal.flush()
            rows = [Enrolment("sms", f"user/{name}", name) for name in "bc"]
            await journal.enrol("d", rows, Progress("sms", Cursor()))
            await start(journal, AttemptStart("d", "sms", "user/b", 1, "p"))
            result = invoke("store", "backup", str(tmp_path / "b.db"), "--store", str(path))
    assert result.exit_code == 0, result.stderr
    with closing(connect(tmp_path / "b.db")) as connection:
        assert connection.execute("SELECT count(*) FROM delivery").fetchone() == (3,)
        assert connection.execute("SELECT key FROM attempt").fetchall() == [("user/b",)]


def test_what_may_be_sent_twice_is_told_before_a_store_goes_on(store: Path) -> None:
    assert invoke("store", "pause", "--store", str(store)).exit_code == 0
    refused = invoke("store", "resume", "--store", str(store))
    assert refused.exit_code == 2
    assert "May be sent twice: 2 pending deliveries of 1 dispatches" in refused.stderr
    with closing(connect(store)) as connection:
        assert why_paused(connection) is not None
    resumed = invoke("store", "resume", "--yes", "--json", "--store", str(store))
    assert json.loads(resumed.stdout) == {"store": str(store), "resumed": True}
    with closing(connect(store)) as connection:
        assert why_paused(connection) is None
    again = invoke("store", "resume", "--yes", "--json", "--store", str(store))
    assert json.loads(again.stdout)["resumed"] is False


def test_a_store_in_which_nothing_ran_does_not_say_that_nothing_is_sent_twice(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    open_store(path).close()
    assert invoke("store", "pause", "--store", str(path)).exit_code == 0
    told = invoke("store", "check", "--store", str(path)).stdout
    assert "it does not know what was accepted since" in told
    assert "what is repeated of it is sent twice" in told


def test_a_damaged_log_is_told_and_the_store_repaired(store: Path) -> None:
    damaged(store)
    told = invoke("store", "check", "--store", str(store))
    assert told.exit_code == 1
    assert "`carillon store repair` goes on without them" in told.stdout
    assert "May be sent twice: 2 pending deliveries" in told.stdout
    assert invoke("store", "resume", "--yes", "--store", str(store)).exit_code == 1
    asked = invoke("store", "repair", "--store", str(store))
    assert (asked.exit_code, "--yes" in asked.stderr) == (2, True)
    repaired = invoke("store", "repair", "--yes", "--json", "--store", str(store))
    assert json.loads(repaired.stdout) == {"store": str(store), "repaired": True}
    assert invoke("store", "check", "--store", str(store)).exit_code == 0
    again = invoke("store", "repair", "--yes", "--json", "--store", str(store))
    assert json.loads(again.stdout)["repaired"] is False


def test_tables_that_are_damaged_are_told_and_not_repaired(store: Path) -> None:
    with closing(connect(store)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        query = "SELECT rootpage FROM sqlite_schema WHERE name = 'delivery'"
        (page,) = connection.execute(query).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with store.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 64)
    for command in ("check", "repair"):
        result = invoke("store", command, *["--yes"][: command == "repair"], "--store", str(store))
        assert result.exit_code == 1
        assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["repair", "pause"])
def test_what_changes_a_store_waits_for_no_service(store: Path, command: str) -> None:
    with only_server(store):
        result = invoke("store", command, *["--yes"][: command == "repair"], "--store", str(store))
    assert (result.exit_code, "in use by another running" in result.stderr) == (1, True)


@pytest.mark.parametrize("command", ["backup", "check", "repair", "resume", "pause"])
def test_there_must_be_a_store_and_it_must_be_a_file(tmp_path: Path, command: str) -> None:
    words = [command, "x"] if command == "backup" else [command]
    none = invoke("store", *words, "--store", str(tmp_path / "none.db"))
    assert (none.exit_code, "There is no store at" in none.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []
    mongodb = invoke("store", *words, "--store", "mongodb://127.0.0.1/x")
    assert (mongodb.exit_code, "mongodump" in mongodb.stderr) == (2, True)
