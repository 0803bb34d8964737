"""What a board of shares promises: whoever changes it has seen exactly what was there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest
import trio

from carillon.messages.errors import JournalUnavailable
from carillon.stores.mongodb.capacity import MongoShares, _swap
from carillon.stores.mongodb.client import Database, MongoStore
from carillon.stores.ports import CompareAndSetStore
from tests.actors.capacity.boards import Board, Faults, Line
from tests.neighbours.mongodb import MongoServer
from tests.stores.shelves import MongoShelf

CLIENTS = 4
CHANGES = 15


@pytest.fixture(params=["fake", pytest.param("mongodb", marks=pytest.mark.servers)])
async def boards(
    request: pytest.FixtureRequest, nursery: trio.Nursery
) -> AsyncIterator[Sequence[CompareAndSetStore]]:
    """The same board, seen by several replicas."""
    if request.param == "fake":
        board = Board()
        yield [Line(board, nursery, Random(n), Faults(), lambda: None) for n in range(CLIENTS)]
        return
    shelf: MongoShelf = request.getfixturevalue("mongo_shelf")
    with ExitStack() as stack:
        yield [MongoShares(stack.enter_context(shelf.store())) for _ in range(CLIENTS)]


async def test_nothing_has_been_written_at_first(boards: Sequence[CompareAndSetStore]) -> None:
    assert await boards[0].read("p") == ("", "")


async def test_everybody_reads_what_was_written(boards: Sequence[CompareAndSetStore]) -> None:
    assert await boards[0].swap("p", "", "one")
    version, text = await boards[1].read("p")
    assert version
    assert text == "one"
    assert await boards[2].swap("p", version, "two")
    assert (await boards[3].read("p"))[1] == "two"


async def test_nothing_is_written_over_what_the_writer_has_not_seen(
    boards: Sequence[CompareAndSetStore],
) -> None:
    assert await boards[0].swap("p", "", "one")
    assert not await boards[1].swap("p", "", "other")
    version, _ = await boards[0].read("p")
    assert await boards[0].swap("p", version, "two")
    assert not await boards[1].swap("p", version, "other")
    assert (await boards[1].read("p"))[1] == "two"


async def test_the_same_text_again_is_another_version(boards: Sequence[CompareAndSetStore]) -> None:
    assert await boards[0].swap("p", "", "same")
    version, _ = await boards[0].read("p")
    assert await boards[0].swap("p", version, "same")
    assert not await boards[1].swap("p", version, "other")


async def test_providers_have_nothing_to_do_with_each_other(
    boards: Sequence[CompareAndSetStore],
) -> None:
    assert await boards[0].swap("p", "", "one")
    assert await boards[0].swap("q.$r", "", "{}")
    assert (await boards[0].read("q.$r"))[1] == "{}"


async def test_of_many_who_write_at_once_each_is_seen_by_the_next(
    boards: Sequence[CompareAndSetStore],
) -> None:
    async def add(board: CompareAndSetStore, name: int) -> None:
        for number in range(CHANGES):
            while True:
                version, text = await board.read("p")
                changes = [*json.loads(text or "[]"), [name, number]]
                if await board.swap("p", version, json.dumps(changes)):
                    break

    async with trio.open_nursery() as nursery:
        for name, board in enumerate(boards):
            nursery.start_soon(add, board, name)

    changes = json.loads((await boards[0].read("p"))[1])
    assert len(changes) == CLIENTS * CHANGES
    for name in range(CLIENTS):
        assert [number for one, number in changes if one == name] == list(range(CHANGES))


# Answers that get lost, in MongoDB


async def write(store: MongoStore, versions: tuple[str, str], text: str) -> bool:
    def job(database: Database) -> bool:
        return _swap(database, "p", versions, text)

    return await store.run(job, 5, JournalUnavailable, "write")


@pytest.mark.servers
async def test_what_was_done_already_is_done(mongo_shelf: MongoShelf) -> None:
    with mongo_shelf.store() as store:
        for _ in range(2):
            assert await write(store, ("", "1"), "one")
        for _ in range(2):
            assert await write(store, ("1", "2"), "two")
        assert not await write(store, ("1", "3"), "late")
        assert not await write(store, ("", "4"), "late")
        assert await MongoShares(store).read("p") == ("2", "two")


@pytest.mark.servers
async def test_a_write_that_is_refused_for_now_is_tried_again(tmp_path: Path) -> None:
    with MongoServer(tmp_path) as server, MongoShelf(server.url("shop")).store() as store:
        board = MongoShares(store)
        assert await board.swap("p", "", "one")
        version, _ = await board.read("p")
        await trio.to_thread.run_sync(server.refuse, "update", 262, 1)
        assert await board.swap("p", version, "two")
        assert (await board.read("p"))[1] == "two"


@pytest.mark.servers
async def test_a_silent_store_is_given_up_in_time(tmp_path: Path) -> None:
    with MongoServer(tmp_path) as server, MongoShelf(server.url("shop")).store() as store:
        board = MongoShares(store)
        assert await board.swap("p", "", "one")
        version, _ = await board.read("p")
        server.freeze()
        with trio.fail_after(2.5), pytest.raises(JournalUnavailable):
            await board.swap("p", version, "two")
        server.thaw()
        # It may have been done or not; whoever reads it knows.
        version, text = await board.read("p")
        assert text in {"one", "two"}
        assert await board.swap("p", version, "three")
