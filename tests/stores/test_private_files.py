"""The files of a store are for their owner only, whatever the umask says and whoever made them."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio

from carillon.stores.private_files import make_private, open_private
from carillon.stores.sqlite.database import connect, only_server, open_store
from carillon.stores.sqlite.journal.journal import SqliteJournal
from tests.running import running

SUFFIXES = ("", "-wal", "-shm", "-lock", "-log0", "-log1")


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {one.name: stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()}


def loosen(folder: Path, mode: int) -> None:
    for one in folder.iterdir():
        one.chmod(mode)


def beside(name: str, mode: int = 0o600) -> dict[str, int]:
    return {f".{name}-mark": mode} | {name + suffix: mode for suffix in SUFFIXES}


@pytest.mark.usefixtures("umask")
async def test_what_a_store_makes_is_for_its_owner_only(tmp_path: Path) -> None:
    store = tmp_path / "carillon.db"
    with only_server(store):
        open_store(store).close()
        async with SqliteJournal(store).running():
            assert modes(tmp_path) == beside(store.name)


@pytest.mark.slow
async def test_what_is_left_after_a_service_is_for_its_owner_only(tmp_path: Path) -> None:
    folder, before = tmp_path / "state", os.umask(0)
    try:
        folder.mkdir()
        async with running(folder) as service:
            await service.send(recipients=["nobody"])
            assert set(modes(folder).values()) == {0o600}
    finally:
        os.umask(before)
    assert set(modes(folder).values()) == {0o600}


async def test_what_an_earlier_version_made_is_tightened(tmp_path: Path) -> None:
    store = tmp_path / "carillon.db"
    open_store(store).close()
    # A connection that stays keeps what SQLite makes beside the store.
    with closing(connect(store)) as other:
        other.execute("SELECT count(*) FROM user").fetchone()
        async with SqliteJournal(store).running():
            pass
        (tmp_path / "carillon.db-lock").touch()
        loosen(tmp_path, 0o664)
        with only_server(store):
            open_store(store).close()
            async with SqliteJournal(store).running():
                assert modes(tmp_path) == beside(store.name)


def test_a_store_behind_a_link_is_tightened_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    real, link = tmp_path / "data" / "real.db", tmp_path / "carillon.db"
    link.symlink_to(real)
    before = os.umask(0)
    try:
        with closing(open_store(link)) as one:
            one.execute("SELECT count(*) FROM user").fetchone()
            assert set(modes(tmp_path / "data").values()) == {0o600}
            loosen(tmp_path / "data", 0o666)
            open_store(link).close()
            assert set(modes(tmp_path / "data").values()) == {0o600}
    finally:
        os.umask(before)


def test_what_may_not_be_written_stays_so(tmp_path: Path) -> None:
    file = tmp_path / "store"
    file.touch()
    file.chmod(0o444)
    make_private(file)
    assert modes(tmp_path) == {"store": 0o400}


def test_a_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make_private(tmp_path / "nowhere" / "store")
    with pytest.raises(IsADirectoryError):
        open_private(tmp_path, os.O_RDWR)


async def test_tightening_leaves_the_locks_of_other_connections_alone(tmp_path: Path) -> None:
    """Closing any descriptor of a file ends the locks of SQLite that the process has on it."""
    store = tmp_path / "carillon.db"
    wants = (
        "import sqlite3, sys; store = sqlite3.connect(sys.argv[1], timeout=0);"
        "store.execute('BEGIN IMMEDIATE')"
    )
    with closing(open_store(store)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        store.chmod(0o666)
        make_private(store)
        other = await trio.run_process(
            [sys.executable, "-c", wants, str(store)], check=False, capture_stderr=True
        )
    assert b"database is locked" in other.stderr
