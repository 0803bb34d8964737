"""A change and its audit entry in MongoDB, whatever happens between two writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from carillon.messages.errors import JournalUnavailable
from carillon.stores.mongodb.client import Database, MongoStore, Stored
from carillon.stores.mongodb.live_settings import MongoSettings, _change, _record, _stored
from tests.stores.shelves import MongoShelf, entry

pytestmark = pytest.mark.servers


@pytest.fixture
def store(mongo_shelf: MongoShelf) -> Iterator[MongoStore]:
    with mongo_shelf.store() as opened:
        yield opened


async def numbers(settings: MongoSettings) -> list[int]:
    return [one.at % 100 for one in (await settings.audit(None, "", 100)).entries]


def pending(*numbers: int) -> list[Stored]:
    return [_stored(entry(number), number) for number in numbers]


async def write(store: MongoStore, job: Callable[[Database], None]) -> None:
    await store.run(job, 5, JournalUnavailable, "write")


async def test_what_a_crash_left_beside_the_override_is_in_the_audit(store: MongoStore) -> None:
    settings = MongoSettings(store)
    await settings.change("a", {"concurrency": 1}, entry(1))
    # As far as a process got that was killed before it could copy the entry.
    await write(store, lambda database: _change(database, "a", '{"x": 1}', pending(2)))
    await write(store, lambda database: _change(database, "a", '{"x": 2}', pending(3)))
    await write(store, lambda database: _record(database, pending(4, 5)))

    assert await numbers(settings) == [5, 4, 3, 2, 1]
    assert await numbers(settings) == [5, 4, 3, 2, 1]
    assert await settings.overrides() == {"a": {"x": 2}}


async def test_a_change_that_is_written_twice_counts_once(store: MongoStore) -> None:
    settings = MongoSettings(store)
    for _ in range(3):
        await write(store, lambda database: _change(database, "a", '{"x": 1}', pending(1)))
        await write(store, lambda database: _record(database, pending(1)))

    assert await numbers(settings) == [1]


async def test_a_change_that_was_overtaken_is_told_and_not_in_force(store: MongoStore) -> None:
    settings = MongoSettings(store)
    await write(store, lambda database: _change(database, "a", '{"n": 7}', pending(7)))
    await write(store, lambda database: _change(database, "a", '{"n": 6}', pending(6)))

    assert await settings.overrides() == {"a": {"n": 7}}
    assert await numbers(settings) == [7, 6]
