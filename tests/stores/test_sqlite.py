"""The embedded file: its schema, its lock, and what is no store of ours."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from stores.errors import StoreError
from stores.sqlite import SCHEMA_VERSION, only_server, open_store


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
