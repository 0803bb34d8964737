"""What is the embedded outbox's own: how much it erases at once, and a store that is broken."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from carillon.messages.errors import JournalUnavailable
from carillon.stores.sqlite.database import open_store
from carillon.stores.sqlite.outbox import RETIRED_AT_ONCE, SqliteOutbox
from tests.stores.test_outbox import event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "store.db"
    open_store(made).close()
    return made


@pytest.fixture
def outbox(path: Path) -> Iterator[SqliteOutbox]:
    opened = SqliteOutbox(path)
    yield opened
    opened.close()


async def test_it_is_erased_a_part_at_a_time(outbox: SqliteOutbox, path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.executemany(
            "INSERT INTO event (id, saga, label, payload, state, attempts, created_at, since,"
            " ended_at) VALUES (?, 's', 'l', '{}', 'accepted', 1, 1, 1, 1)",
            [(str(number),) for number in range(RETIRED_AT_ONCE + 1)],
        )
    other.close()
    assert await outbox.retire(20)
    assert not await outbox.retire(20)


async def test_a_store_that_is_broken_says_so(outbox: SqliteOutbox, path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE event")
    other.close()
    with pytest.raises(JournalUnavailable, match="cannot be written"):
        await outbox.add(event("a"), 5)
    with pytest.raises(JournalUnavailable, match="cannot be read"):
        await outbox.due(5, 1)
