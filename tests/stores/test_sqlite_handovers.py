"""What was handed over is found by its delivery's id until it is retired."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import trio

from messages.confirmations import Handover
from messages.errors import JournalUnavailable
from stores.sqlite import open_store
from stores.sqlite_handovers import RETIRED_AT_ONCE, SqliteHandovers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = tmp_path / "store.db"
    open_store(store).close()
    return store


def handover(name: str, dispatch: str = "d") -> Handover:
    return Handover(name, dispatch, "push", "k2f", f"user/{name}", name)


async def test_it_is_found_again_and_the_first_one_stays(path: Path) -> None:
    handovers = SqliteHandovers(path)
    await handovers.add(handover("a"))
    await handovers.add(handover("a", "another"))

    assert await SqliteHandovers(path).find("a") == handover("a")
    assert await handovers.find("b") is None


async def test_many_at_once_share_commits(path: Path) -> None:
    handovers = SqliteHandovers(path)
    async with trio.open_nursery() as nursery:
        for number in range(1000):
            nursery.start_soon(handovers.add, handover(str(number)))
    for number in range(0, 1000, 97):
        assert await handovers.find(str(number)) == handover(str(number))


async def test_what_is_old_is_retired_a_part_at_a_time(path: Path) -> None:
    handovers = SqliteHandovers(path, lambda: 1000)
    async with trio.open_nursery() as nursery:
        for number in range(RETIRED_AT_ONCE + 1):
            nursery.start_soon(handovers.add, handover(str(number)))

    assert not await handovers.retire(1000)
    assert await handovers.retire(1001)
    assert not await handovers.retire(1001)
    assert await handovers.find("0") is None


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
