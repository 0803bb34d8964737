"""Live settings in the embedded store: durable with their audit, or not there at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from messages.errors import BadCommand, JournalUnavailable
from messages.model import Document
from stores.ports import AuditEntry
from stores.sqlite import SCHEMA_VERSION, open_store
from stores.sqlite_settings import SqliteSettings

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


def entry(number: int = 0, provider: str | None = "sms-service", **after: int) -> AuditEntry:
    before: Document = dict.fromkeys(after, None)
    return AuditEntry(1_700_000_000_000 + number, "key-1", "change", provider, before, {**after})


async def test_an_override_survives_a_restart(store: SqliteSettings, path: Path) -> None:
    override: Document = {"concurrency": 5, "rate": [{"limit": 1, "per": "1s"}], "paused": True}
    await store.change("sms-service", override, entry(concurrency=5))

    again = SqliteSettings(path)
    assert await again.overrides() == {"sms-service": override}
    assert (await again.audit(None, "", 10)).entries == [entry(concurrency=5)]
    again.close()


async def test_the_last_change_of_a_provider_holds_and_others_stay(store: SqliteSettings) -> None:
    await store.change("a", {"concurrency": 1}, entry())
    await store.change("b", {"concurrency": 2}, entry())
    await store.change("a", {"timeout": "1s"}, entry())

    assert await store.overrides() == {"a": {"timeout": "1s"}, "b": {"concurrency": 2}}


async def test_an_empty_override_is_none(store: SqliteSettings) -> None:
    await store.change("a", {"concurrency": 1}, entry(1))
    await store.change("a", {}, entry(2))

    assert await store.overrides() == {}
    assert len((await store.audit(None, "", 10)).entries) == 2


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


async def test_the_audit_is_newest_first_a_page_at_a_time(store: SqliteSettings) -> None:
    for number in range(5):
        await store.change(
            "a" if number % 2 else "b", {}, entry(number, "a" if number % 2 else "b")
        )

    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await store.audit(None, cursor, 2)
        seen += [one.at % 100 for one in page.entries]
        cursor = page.next
    assert seen == [4, 3, 2, 1, 0]
    assert [one.at % 100 for one in (await store.audit("b", "", 2)).entries] == [4, 2]
    assert (await store.audit("nobody", "", 2)).entries == []


async def test_a_page_stays_what_it_was_while_changes_come(store: SqliteSettings) -> None:
    for number in range(3):
        await store.record([entry(number)])
    first = await store.audit(None, "", 2)
    await store.record([entry(9)])

    assert first.next
    assert [one.at % 100 for one in (await store.audit(None, first.next, 2)).entries] == [0]


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "9" * 40, "\u0661"])
async def test_a_cursor_of_somebody_else_is_refused(store: SqliteSettings, cursor: str) -> None:
    with pytest.raises(BadCommand, match="cursor"):
        await store.audit(None, cursor, 10)


async def test_changes_at_once_are_all_kept(store: SqliteSettings) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(20):
            override: Document = {"concurrency": number + 1}
            nursery.start_soon(store.change, f"p{number}", override, entry())

    assert len(await store.overrides()) == 20
    assert len((await store.audit(None, "", 100)).entries) == 20


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
