"""The embedded file: its schema, its lock, and what is no store of ours."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from carillon.stores.errors import StoreError
from carillon.stores.sqlite.database import SCHEMA_VERSION, only_server, open_store


def test_a_new_store_is_made_and_an_old_one_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with open_store(path) as connection:
        connection.execute("INSERT INTO setting VALUES ('a', 'b')")
    connection.close()
    again = open_store(path)
    assert again.execute("SELECT value FROM setting").fetchone() == ("b",)
    again.close()


def test_a_commit_survives_a_power_cut(tmp_path: Path) -> None:
    connection = open_store(tmp_path / "store.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()


def test_a_newer_store_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = open_store(path)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(StoreError, match="newer"):
        open_store(path)


def test_somebody_elses_database_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE mine (x)")
    other.commit()
    other.close()
    with pytest.raises(StoreError, match="not a Carillon store"):
        open_store(path)


@pytest.mark.parametrize("content", [b"not a database at all, but a text of some length" * 20])
def test_a_file_that_is_no_database_is_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(path)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(tmp_path / "nowhere" / "store.db")
    with pytest.raises(StoreError), only_server(tmp_path / "nowhere" / "store.db"):
        pass


def test_only_one_server_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with only_server(path):
        with pytest.raises(StoreError, match="in use by another running Carillon"):
            with only_server(path):
                pass
    with only_server(path):
        pass


def in_use(path: Path) -> bool:
    try:
        with only_server(path):
            return False
    except StoreError as error:
        return "in use by another running Carillon" in str(error)


def test_every_name_of_a_store_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    open_store(path).close()
    for folder in ("soft", "hard", "chain"):
        (tmp_path / folder).mkdir()
    soft, hard, chain = (tmp_path / one / "other.db" for one in ("soft", "hard", "chain"))
    soft.symlink_to(path)
    hard.hardlink_to(path)
    chain.symlink_to(soft)
    names = (path, soft, hard, chain)
    for held in names:
        with only_server(held):
            assert [in_use(one) for one in names] == [True] * 4
        assert not in_use(path)


def test_a_lock_that_was_refused_leaves_those_of_sqlite_in_this_process(tmp_path: Path) -> None:
    """To close a database's descriptor would take them away, and let others delete its WAL."""
    path = tmp_path / "store.db"
    connection = open_store(path)
    connection.execute("INSERT INTO setting VALUES ('a', 'b')")
    with only_server(path):
        assert in_use(path)
        alone = (
            "import sqlite3, sys\n"
            "c = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
            "c.execute('PRAGMA locking_mode=EXCLUSIVE')\n"
            "c.execute('PRAGMA journal_mode=DELETE')\n"
            "print(c.execute('PRAGMA journal_mode').fetchone()[0])\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", alone, str(path)], capture_output=True, text=True, check=False
        )
        assert "locked" in ran.stderr or ran.stdout == "wal\n"
    connection.close()


@pytest.mark.servers
def test_a_bind_mount_of_a_store_is_locked_too(tmp_path: Path) -> None:
    path, other = tmp_path / "store.db", tmp_path / "mounted.db"
    open_store(path).close()
    other.touch()
    script = (
        f"mount --bind {path} {other} && exec {sys.executable} -c 'from pathlib import Path\n"
        f'from tests.stores.sqlite.test_database import in_use\nprint(in_use(Path("{other}")))\''
    )
    with only_server(path):
        ran = subprocess.run(
            ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False
        )
    if "Operation not permitted" in ran.stderr:
        pytest.skip("nothing can be mounted here")
    assert (ran.stdout, ran.stderr) == ("True\n", "")


def test_a_store_that_moved_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = open_store(path)
    connection.execute("UPDATE life SET moved = 'mongodb://x/y'")
    connection.close()
    with pytest.raises(StoreError, match="has moved to mongodb://x/y"):
        open_store(path)
    open_store(path, moved=True).close()
