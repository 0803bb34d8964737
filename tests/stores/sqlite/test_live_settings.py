"""Live settings in the embedded store: durable with their audit, or not there at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from carillon.messages.errors import JournalUnavailable
from carillon.stores.ports import AuditEntry
from carillon.stores.sqlite.database import SCHEMA_VERSION, open_store
from carillon.stores.sqlite.live_settings import SqliteSettings
from tests.stores.shelves import entry

FIRST_SCHEMA = """
CREATE TABLE user (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE template (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE user_key (
    kind TEXT NOT NULL, value TEXT NOT NULL, user TEXT NOT NULL,
    PRIMARY KEY (kind, value, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_key_by_user ON user_key (user);
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE dispatch (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, channels TEXT NOT NULL,
    state TEXT NOT NULL, created_at INTEGER NOT NULL, ended_at INTEGER, counts TEXT
) STRICT;
CREATE TABLE delivery (
    dispatch INTEGER NOT NULL, channel TEXT NOT NULL, key TEXT NOT NULL, user_id TEXT NOT NULL,
    outcome TEXT NOT NULL, reason TEXT, error TEXT, provider TEXT, provider_message_id TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL, ended_at INTEGER,
    PRIMARY KEY (dispatch, channel, key)
) STRICT, WITHOUT ROWID;
PRAGMA user_version=1;
"""
"""As version 0.1 made it."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "store.db"
    open_store(made).close()
    return made


@pytest.fixture
def store(path: Path) -> Iterator[SqliteSettings]:
    opened = SqliteSettings(path)
    yield opened
    opened.close()


async def test_what_cannot_be_audited_is_not_changed(store: SqliteSettings, path: Path) -> None:
    await store.change("a", {"concurrency": 1}, entry(1))
    with sqlite3.connect(path) as other:
        other.execute("ALTER TABLE audit RENAME TO elsewhere")
    other.close()

    with pytest.raises(JournalUnavailable, match="cannot be written"):
        await store.change("a", {"concurrency": 2}, entry(2))
    with pytest.raises(JournalUnavailable, match="cannot be read"):
        await store.audit(None, "", 10)

    assert await store.overrides() == {"a": {"concurrency": 1}}


async def test_entries_without_an_override_are_written_all_or_none(store: SqliteSettings) -> None:
    await store.record([entry(1), entry(2, provider=None)])
    unwritable = AuditEntry(1, None, "change", None, {}, {})  # type: ignore[arg-type]  # on purpose
    with pytest.raises(JournalUnavailable):
        await store.record([entry(3), unwritable])
    await store.record([entry(4)])

    assert [one.at % 100 for one in (await store.audit(None, "", 10)).entries] == [4, 2, 1]
    assert await store.overrides() == {}


async def test_a_store_of_the_first_version_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as old:
        old.executescript(FIRST_SCHEMA)
        old.execute("INSERT INTO user VALUES ('ada', 'PUBLIC', '{}')")
        old.execute(
            "INSERT INTO dispatch (id, channels, state, created_at) VALUES ('d', 'sms', 'done', 1)"
        )
    old.close()

    connection = open_store(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert connection.execute("SELECT id FROM user").fetchall() == [("ada",)]
    assert connection.execute("SELECT id FROM dispatch").fetchall() == [("d",)]
    connection.close()
    store = SqliteSettings(path)
    await store.change("a", {"concurrency": 1}, entry())
    assert await store.overrides() == {"a": {"concurrency": 1}}
    store.close()


def test_a_migrated_store_is_like_a_new_one(tmp_path: Path) -> None:
    shapes = []
    for name, script in (("old.db", FIRST_SCHEMA), ("new.db", "")):
        with sqlite3.connect(tmp_path / name) as made:
            made.executescript(script)
        made.close()
        connection = open_store(tmp_path / name)
        query = "SELECT type, name, tbl_name FROM sqlite_schema ORDER BY type, name"
        shapes.append(connection.execute(query).fetchall())
        connection.close()

    assert shapes[0] == shapes[1]


def test_a_migration_that_fails_leaves_the_old_store(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as old:
        old.executescript(FIRST_SCHEMA)
        old.execute("CREATE TABLE audit (in_the_way)")
    old.close()

    with pytest.raises(Exception, match="already exists"):
        open_store(path)

    with sqlite3.connect(path) as old:
        assert old.execute("PRAGMA user_version").fetchone() == (1,)
        names = old.execute("SELECT name FROM sqlite_schema").fetchall()
    old.close()
    assert ("provider_override",) not in names
