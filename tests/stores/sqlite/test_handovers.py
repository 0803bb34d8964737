"""What is the embedded store's own about handovers: how it says that it is broken."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from carillon.messages.errors import JournalUnavailable
from carillon.stores.sqlite.database import open_store
from carillon.stores.sqlite.handovers import SqliteHandovers
from tests.stores.test_handovers import handover


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = tmp_path / "store.db"
    open_store(store).close()
    return store


async def test_a_store_that_cannot_be_written_is_told_and_tried_again(path: Path) -> None:
    handovers = SqliteHandovers(path)
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE handover RENAME TO hidden")
    with pytest.raises(JournalUnavailable):
        await handovers.add(handover("a"))
    with pytest.raises(JournalUnavailable):
        await handovers.find("a")
    connection.execute("ALTER TABLE hidden RENAME TO handover")
    connection.close()

    await handovers.add(handover("b"))
    assert await handovers.find("b") == handover("b")
