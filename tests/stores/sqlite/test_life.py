"""A store that was put together from different moments is known, and sends nothing by itself."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from carillon.messages.model import Cursor
from carillon.messages.ports.journal import AttemptStart, Enrolment, NewDispatch, Progress
from carillon.stores.errors import StoreError
from carillon.stores.sqlite import database as sqlite
from carillon.stores.sqlite.database import connect, open_store
from carillon.stores.sqlite.journal.journal import SqliteJournal
from carillon.stores.sqlite.journal.redo_log import RedoLog, log_paths
from carillon.stores.sqlite.life import (
    examine,
    read_life,
    resume,
    set_foreign_wal_aside,
    why_paused,
)
from carillon.stores.sqlite.mark import mark_path, read_mark
from tests.stores.starting import start

SUFFIXES = ("", "-wal", "-shm", "-log0", "-log1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    open_store(path).close()
    return path


async def lived(path: Path, names: Sequence[str], copy: Path | None = None) -> None:
    """A life in which dispatches begin, with a copy of the files in the middle of it."""
    journal = SqliteJournal(path)
    async with journal.running():
        for name in names:
            await journal.open(NewDispatch(name, ["sms"], "{}"), [Enrolment("sms", "user/a", "a")])
            await journal.enrol(name, [Enrolment("sms", "user/b", "b")], Progress("sms", Cursor()))
            await journal.flush()  # the tables move on, too
            await start(journal, AttemptStart(name, "sms", "user/a", 1, "p"))
        if copy is not None:
            copied(path, copy)


def copied(path: Path, target: Path, suffixes: Sequence[str] = SUFFIXES) -> None:
    target.parent.mkdir(exist_ok=True)
    for suffix in suffixes:
        old, new = path.with_name(path.name + suffix), target.with_name(target.name + suffix)
        new.unlink(missing_ok=True)
        if old.exists():
            shutil.copy(old, new)


async def paused(path: Path) -> str | None:
    """Why a store is paused once it is taken up."""
    await lived(path, ())
    with closing(connect(path)) as connection:
        return why_paused(connection)


def dispatches(path: Path) -> list[str]:
    with closing(connect(path)) as connection:
        found = connection.execute("SELECT id FROM dispatch ORDER BY number").fetchall()
    return [one for (one,) in found]


def aside(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.glob("*.aside-*"))


async def test_a_store_goes_on_from_life_to_life(path: Path) -> None:
    for number in range(1, 4):
        await lived(path, [f"d{number}"])
        with closing(connect(path)) as connection:
            life, mark = read_life(connection), read_mark(path)
        assert mark is not None
        assert (life.number, life.paused) == (number, None)
        assert (mark.store, mark.life, mark.number) == (life.store, life.id, number)
        assert (mark.revision, mark.logged) == (life.revision, life.applied)
    assert aside(path) == []


async def test_what_is_killed_goes_on_with_what_its_log_has(path: Path, tmp_path: Path) -> None:
    crashed = tmp_path / "crashed" / "store.db"
    await lived(path, ["a"], crashed)
    copied(crashed, path)
    assert await paused(path) is not None  # it is older than the mark, and yet takes its own log
    assert dispatches(path) == ["a"]


async def test_an_older_copy_is_paused_and_the_log_of_today_set_aside(
    path: Path, tmp_path: Path
) -> None:
    await lived(path, ["yesterday"])
    copied(path, tmp_path / "old" / "store.db")
    await lived(path, ["today"])
    copied(tmp_path / "old" / "store.db", path, ["", "-wal", "-shm"])
    assert "older" in (await paused(path) or "")
    assert dispatches(path) == ["yesterday"]
    assert len(aside(path)) == 1
    with closing(connect(path)) as connection:
        resume(connection)
    assert await paused(path) is None


async def test_a_copy_of_the_same_life_is_not_completed_from_its_log(
    path: Path, tmp_path: Path
) -> None:
    old, killed = tmp_path / "old" / "store.db", tmp_path / "killed" / "store.db"
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open(NewDispatch("a", ["sms"], "{}"))
        await journal.flush()
        copied(path, old, ["", "-wal", "-shm"])
        await journal.enrol("a", [Enrolment("sms", "user/b", "b")], Progress("sms", Cursor()))
        await journal.flush()
        await start(journal, AttemptStart("a", "sms", "user/b", 1, "p"))
        copied(path, killed)
    copied(killed, path)
    copied(old, path, ["", "-wal", "-shm"])
    assert "older" in (await paused(path) or "")
    assert len(aside(path)) == 2


async def test_a_wal_of_another_file_is_set_aside_and_not_mixed_with_a_restored_one(
    path: Path, tmp_path: Path
) -> None:
    old, killed = tmp_path / "old" / "store.db", tmp_path / "killed" / "store.db"
    await lived(path, ["yesterday"])
    copied(path, old, [""])
    assert set_foreign_wal_aside(path) == []
    await lived(path, ["today"], killed)
    copied(killed, path)
    assert set_foreign_wal_aside(path) == []  # a killed process left its own
    copied(killed, path)
    shutil.copy(old, path)
    [note] = set_foreign_wal_aside(path)
    assert "-wal.aside-" in note
    open_store(path).close()
    assert dispatches(path) == ["yesterday"]
    assert "older" in (await paused(path) or "")


async def test_a_copy_that_lost_its_wal_and_so_all_of_its_journal_is_paused(
    path: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old" / "store.db"
    await lived(path, ["a"], old)
    copied(old, path, [""])
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    assert "older" in (await paused(path) or "")
    assert dispatches(path) == []


async def test_a_copy_with_a_wal_of_its_own_keeps_it(path: Path, tmp_path: Path) -> None:
    old = tmp_path / "old" / "store.db"
    await lived(path, ["yesterday"], old)
    await lived(path, ["today"])
    copied(old, path, ["", "-wal"])
    assert set_foreign_wal_aside(path) == []
    open_store(path).close()
    assert dispatches(path) == ["yesterday"]


async def test_a_store_without_the_mark_of_its_host_was_copied_there(
    path: Path, tmp_path: Path
) -> None:
    await lived(path, ["a"], tmp_path / "new" / "other.db")
    assert "copied here" in (await paused(tmp_path / "new" / "other.db") or "")
    assert dispatches(tmp_path / "new" / "other.db") == ["a"]  # its own log is taken up


async def test_a_mark_that_was_copied_with_its_store_is_none(path: Path, tmp_path: Path) -> None:
    await lived(path, ["a"])
    shutil.copytree(tmp_path, tmp_path.with_name("copy"))
    assert "its mark with it" in (await paused(tmp_path.with_name("copy") / path.name) or "")


async def test_another_store_in_its_place_is_paused_and_an_empty_one_is_not(
    path: Path, tmp_path: Path
) -> None:
    await lived(path, ["a"])
    empty, other = tmp_path / "empty.db", tmp_path / "other.db"
    open_store(empty).close()
    copied(empty, path, ["", "-wal", "-shm"])
    assert await paused(path) is None  # nothing is in it that could be sent
    open_store(other).close()
    await lived(other, ["b"])
    copied(other, path, ["", "-wal", "-shm"])
    assert "another store" in (await paused(path) or "")


async def test_a_store_that_was_served_elsewhere_meanwhile_is_paused(
    path: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "store.db"
    await lived(path, ["a"])
    copied(path, other)
    for _ in range(3):
        await lived(other, ())
    with closing(connect(other)) as connection:
        resume(connection)
    copied(other, path)
    assert "elsewhere" in (await paused(path) or "")


async def killed(path: Path, tmp_path: Path) -> None:
    """What a killed process leaves whose tables lack its last groups."""
    left = tmp_path / "left" / "store.db"
    journal = SqliteJournal(path)
    async with journal.running():
        await journal.open(NewDispatch("a", ["sms"], "{}"), [Enrolment("sms", "user/a", "a")])
        await journal.flush()
        mark = mark_path(path).read_bytes()
        copied(path, left, ["", "-wal", "-shm"])
        await start(journal, AttemptStart("a", "sms", "user/a", 1, "p"))
        copied(path, left, ["-log0", "-log1"])
        logged = mark_path(path).read_bytes()
    copied(left, path)
    mark_path(path).write_bytes(mark[:64] + logged[64:])


async def test_what_a_killed_process_left_is_taken_up(path: Path, tmp_path: Path) -> None:
    await killed(path, tmp_path)
    assert await paused(path) is None
    with closing(connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM attempt").fetchone() == (1,)


@pytest.mark.parametrize("harm", ["delete", "flip", "cut", "zero", "replace"])
async def test_a_log_that_lacks_what_is_needed_stops_the_start(
    path: Path, tmp_path: Path, harm: str
) -> None:
    await killed(path, tmp_path)
    with closing(connect(path)) as connection:
        standing = examine(path, connection)
    assert (len(standing.groups), standing.damage) == (1, None)
    harmed(log_paths(path)[0], harm)
    with pytest.raises(StoreError, match=r"carillon store check.*carillon store repair"):
        await lived(path, ())
    with closing(connect(path)) as connection:
        standing = examine(path, connection)
    assert standing.damage is not None
    assert standing.doubt is None


def harmed(file: Path, harm: str) -> None:
    if harm == "delete":
        file.unlink()
    elif harm == "cut":
        os.truncate(file, 40)
    elif harm == "zero":
        file.write_bytes(bytes(file.stat().st_size))
    elif harm == "replace":
        file.unlink()
        log = RedoLog(file.with_name("store.db"), b"another!", sync=False)
        log.append(b"x", 0)
        log.close()
    else:
        content = bytearray(file.read_bytes())
        last = len(content.rstrip(b"\0"))
        content[last - 10] ^= 1
        file.write_bytes(content)


async def test_a_store_of_an_earlier_version_is_taken_up_with_its_log(
    tmp_path: Path,
) -> None:
    path = tmp_path / "earlier.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for migration in sqlite._MIGRATIONS[:5]:
            connection.executescript(migration)
        connection.execute("PRAGMA user_version=5")
        (identity,) = connection.execute("SELECT identity FROM redo_log").fetchone()
    opening = ["d", ["sms"], "{}", None, [["sms", "user/a", "a"]]]
    log = RedoLog(path, identity, sync=False)
    log.append(json.dumps([1000, [opening], [], [], []]).encode(), 0)
    log.close()
    open_store(path).close()
    assert await paused(path) is None
    assert dispatches(path) == ["d"]


async def test_a_store_of_the_version_before_is_taken_up_with_its_log(tmp_path: Path) -> None:
    """Its log told the user of each outcome, and no enrolments: these were in the tables."""
    path = tmp_path / "before.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for migration in sqlite._MIGRATIONS[:9]:
            connection.executescript(migration)
        connection.execute("PRAGMA user_version=9")
        (identity,) = connection.execute("SELECT id FROM life").fetchone()
    rows = [["sms", f"user/{name}", name] for name in "abc"]
    opening = ["d", ["sms"], "{}", None, rows, "", None, False]
    starts = ["d", "sms", 1, "p", ["user/a", "user/b"]]
    outcomes = ["d", "sms", "sent", "accepted", "", "p", 1, ["user/a", "a", None]]
    log = RedoLog(path, identity, sync=False)
    log.append(json.dumps([1000, [opening], [starts], [], [outcomes], 0]).encode(), 0)
    log.close()
    open_store(path).close()
    assert await paused(path) is None
    with closing(connect(path)) as connection:
        found = connection.execute("SELECT key, user_id, outcome FROM delivery").fetchall()
        assert connection.execute("SELECT key FROM attempt").fetchall() == [("user/b",)]
    assert found == [
        ("user/a", "a", "sent"),
        ("user/b", "b", "pending"),
        ("user/c", "c", "pending"),
    ]


def test_the_version_before_refuses_a_store_of_this_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would not find the deliveries that are in the log only."""
    monkeypatch.setattr(sqlite, "SCHEMA_VERSION", 9)
    with pytest.raises(StoreError, match="made by a newer Carillon; this one knows 9"):
        open_store(path)


async def test_the_log_beside_a_link_is_found(path: Path, tmp_path: Path) -> None:
    """Earlier versions kept it there."""
    await killed(path, tmp_path)
    link = tmp_path / "links" / "here.db"
    link.parent.mkdir()
    link.symlink_to(path)
    for old, new in zip(log_paths(path), log_paths(link), strict=True):
        old.rename(new)
    assert await paused(link) is None
    assert [one.exists() for one in log_paths(path)] == [True, True]
    with closing(connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM attempt").fetchone() == (1,)


async def test_a_disk_that_refuses_the_mark_keeps_nobody_from_sending(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqliteJournal(path)
    async with journal.running():

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        await journal.open(NewDispatch("a", ["sms"], "{}"))
        monkeypatch.undo()
    assert dispatches(path) == ["a"]
