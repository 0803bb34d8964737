"""A MongoDB that is killed, silent, slow or busy: what waits for it goes on or fails in time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

import pytest
import trio

from carillon.messages.errors import DirectoryUnavailable, JournalUnavailable, TryLater
from carillon.messages.model import Audience, Cursor, UserFields
from carillon.stores.errors import StoreError
from carillon.stores.mongodb.client import ABOUT, Database, MongoStore, connected, prepare
from carillon.stores.mongodb.directory import MongoDirectory
from carillon.stores.mongodb.live_settings import MongoSettings
from tests.neighbours.mongodb import MongoServer
from tests.stores.shelves import MongoShelf, entry

pytestmark = pytest.mark.servers
EVERYBODY = Audience(["ada", "nobody"], ["c"])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MongoServer]:
    with MongoServer(tmp_path) as started:
        MongoShelf(started.url("shop")).add("user", [{"_id": "ada", "clusters": ["c"]}])
        yield started


@pytest.fixture
def store(server: MongoServer) -> Iterator[MongoStore]:
    with MongoShelf(server.url("shop")).store() as opened:
        yield opened


def directory(store: MongoStore, timeout: float) -> MongoDirectory:
    return MongoDirectory(store, UserFields(), timeout)


async def change(settings: MongoSettings, number: int) -> None:
    await settings.change(f"p{number}", {"n": number}, entry(number))


@asynccontextmanager
async def fails_within(
    seconds: float, expected: type[TryLater] = DirectoryUnavailable
) -> AsyncGenerator[None]:
    with trio.fail_after(seconds), pytest.raises(expected) as raised:
        yield
    assert "127.0.0.1" not in str(raised.value)


async def test_what_was_asked_while_the_server_was_killed_is_answered_after(
    server: MongoServer, store: MongoStore
) -> None:
    it = directory(store, 20)
    await it.check()
    server.kill()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(it.page, EVERYBODY, Cursor())
            nursery.start_soon(change, MongoSettings(store), 1)
            await trio.sleep(1)
            await trio.to_thread.run_sync(server.start)
    assert await MongoSettings(store).overrides() == {"p1": {"n": 1}}
    assert len((await MongoSettings(store).audit(None, "", 10)).entries) == 1


async def test_kills_between_changes_lose_none(server: MongoServer, store: MongoStore) -> None:
    settings = MongoSettings(store)
    made = 0
    with trio.fail_after(60):
        for pause in (0.005, 0.02, 0.05):
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(change, settings, made)
                    made += 1
                await trio.sleep(pause)
                server.kill()
                await trio.to_thread.run_sync(server.start)
    assert await settings.overrides() == {f"p{number}": {"n": number} for number in range(made)}
    entries = (await settings.audit(None, "", 1000)).entries
    assert sorted(one.at % 100 for one in entries) == list(range(made))


async def test_a_server_that_is_gone_is_unavailable_in_time(
    server: MongoServer, store: MongoStore
) -> None:
    it = directory(store, 1)
    server.kill()
    async with fails_within(3):
        await it.template("t")
    async with fails_within(3):
        await it.page(EVERYBODY, Cursor())
    async with fails_within(3):
        await it.check()
    server.start()
    assert (await it.page(EVERYBODY, Cursor())).missing == ["nobody"]


async def test_a_server_that_takes_connections_and_says_nothing_is_unavailable_in_time(
    server: MongoServer, store: MongoStore
) -> None:
    it = directory(store, 1)
    await it.check()
    server.freeze()
    try:
        async with trio.open_nursery() as nursery:
            for _ in range(40):  # more than there are threads
                nursery.start_soon(expect_failure, it, 3)
    finally:
        server.thaw()
    assert (await directory(store, 10).page(EVERYBODY, Cursor())).missing == ["nobody"]


async def expect_failure(it: MongoDirectory, seconds: float) -> None:
    async with fails_within(seconds):
        await it.check()


def test_a_server_that_says_nothing_does_not_hold_up_the_end(server: MongoServer) -> None:
    with connected(server.url("shop")) as client:
        client["shop"]["users"].find_one()
        server.freeze()
        began = monotonic()
    assert monotonic() - began < 3
    server.thaw()


async def ended(it: MongoDirectory, seconds: float) -> None:
    with trio.fail_after(seconds), suppress(DirectoryUnavailable):
        await it.check()


async def test_a_slow_query_is_given_up_in_time(server: MongoServer, store: MongoStore) -> None:
    it = directory(store, 0.5)
    server.slow("find", 5)
    async with fails_within(2):
        await it.page(EVERYBODY, Cursor())
    assert (await directory(store, 10).page(EVERYBODY, Cursor())).missing == ["nobody"]


async def test_a_caller_that_is_cancelled_does_not_wait_for_its_query(
    server: MongoServer, store: MongoStore
) -> None:
    server.slow("find", 5)
    with trio.fail_after(2), trio.move_on_after(0.3) as scope:
        await directory(store, 3).check()
    assert scope.cancelled_caught


async def test_one_connection_is_shared_and_nobody_waits_longer_than_its_time(
    server: MongoServer,
) -> None:
    url = server.url("shop", "?maxPoolSize=1")
    with connected(url) as client:
        it = directory(MongoStore(client, url.database), 1)
        await it.check()
        server.slow("find", 5)
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ended, it, 2)
        later = directory(MongoStore(client, url.database), 10)
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(later.check)


@pytest.mark.parametrize("code", [262, 50])
async def test_a_passing_failure_is_tried_again(
    server: MongoServer, store: MongoStore, code: int
) -> None:
    server.refuse("find", code, times=3)
    assert (await directory(store, 10).page(EVERYBODY, Cursor())).missing == ["nobody"]


async def test_a_lasting_failure_is_told_at_once_and_by_its_code(
    server: MongoServer, store: MongoStore
) -> None:
    server.refuse("find", 2, times=100)
    with trio.fail_after(2), pytest.raises(DirectoryUnavailable, match="code 2"):
        await directory(store, 10).check()


async def test_a_change_that_cannot_be_written_is_told(
    server: MongoServer, store: MongoStore
) -> None:
    server.refuse("update", 2, times=100)
    async with fails_within(2, JournalUnavailable):
        await MongoSettings(store).change("a", {"n": 1}, entry(1))
    async with fails_within(2, JournalUnavailable):
        await MongoSettings(store).record([entry(1)])
    assert await MongoSettings(store).overrides() == {}


async def test_a_change_is_durable_before_its_entry_is_copied(
    server: MongoServer, store: MongoStore
) -> None:
    settings = MongoSettings(store)
    server.refuse("insert", 2, times=1)  # the copy into the audit
    await settings.change("a", {"n": 1}, entry(1))
    assert [one.at % 100 for one in (await settings.audit(None, "", 10)).entries] == [1]


async def test_a_user_that_is_refused_stops_the_start(server: MongoServer) -> None:
    for code, words in ((18, "user or the password"), (13, "may not read and write")):
        server.refuse("update", code, times=1)
        url = server.url("shop")
        with connected(url) as client, pytest.raises(StoreError, match=words):
            prepare(client, url, {})


async def test_what_a_job_returns_is_returned_and_its_bugs_are_raised(store: MongoStore) -> None:
    def bug(_: Database) -> None:
        raise KeyError("bug")

    found = await store.run(lambda database: database[ABOUT].find_one(), 5, TryLater, "read")
    assert found == {"_id": "schema", "version": 1}
    with pytest.raises(KeyError):
        await store.run(bug, 5, TryLater, "read")
