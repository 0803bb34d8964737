"""Users and templates in the embedded store."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from carillon.messages.errors import DirectoryUnavailable
from carillon.messages.model import Audience, Cursor, Document, Recipient, UserFields
from carillon.stores.sqlite.database import open_store
from carillon.stores.sqlite.directory import (
    PAGE,
    SMALL_PAGE,
    SqliteDirectory,
    import_documents,
    index_users,
)


@asynccontextmanager
async def directory(
    folder: Path,
    users: Sequence[Document] = (),
    templates: Sequence[Document] = (),
    fields: UserFields | None = None,
) -> AsyncGenerator[SqliteDirectory]:
    path, fields = folder / "store.db", fields or UserFields()
    connection = open_store(path)
    list(import_documents(connection, "user", users))
    list(import_documents(connection, "template", templates))
    index_users(connection, fields)
    connection.close()
    it = SqliteDirectory(path, fields)
    yield it
    it.close()


async def everybody(it: SqliteDirectory, audience: Audience) -> tuple[list[Recipient], list[str]]:
    found: list[Recipient] = []
    missing: list[str] = []
    cursor: Cursor | None = Cursor()
    while cursor is not None:
        page = await it.page(audience, cursor)
        assert len(page.recipients) + len(page.missing) <= PAGE
        found += page.recipients
        missing += page.missing
        cursor = page.next
    return found, missing


MANY: list[Document] = [
    {"_id": f"u{number:04}", "clusters": ["all", "even" if number % 2 == 0 else "odd"]}
    for number in range(PAGE * 2 + 100)
]


async def test_what_is_small_is_read_without_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[object] = []
    run_sync = trio.to_thread.run_sync

    async def counted(
        run: Callable[..., object], *values: object, limiter: trio.CapacityLimiter
    ) -> object:
        threads.append(run)
        return await run_sync(run, *values, limiter=limiter)

    monkeypatch.setattr(trio.to_thread, "run_sync", counted)
    ids = [str(user["_id"]) for user in MANY]
    async with directory(tmp_path, MANY, [{"_id": "t"}]) as it:
        await it.template("t")
        await it.check()
        small = await it.page(Audience(ids[:SMALL_PAGE], ["odd"]), Cursor())
        assert not threads
        assert len(small.recipients) == SMALL_PAGE
        assert small.next is not None
        await it.page(Audience(ids[: SMALL_PAGE + 1]), Cursor())
        await it.page(Audience(ids[:SMALL_PAGE], ["odd"]), small.next)
        assert len(threads) == 2


async def test_what_cannot_be_read_at_once_is_read_by_who_may_wait(tmp_path: Path) -> None:
    async with directory(tmp_path, MANY, [{"_id": "t"}]) as it:
        it._inline.close()  # as good as locked: it answers with an error
        assert (await it.template("t"))["_id"] == "t"
        assert await everybody(it, Audience(["u0001"])) != ([], [])


async def test_a_store_that_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    async with directory(tmp_path, MANY, [{"_id": "t"}]) as it:
        connection = open_store(tmp_path / "store.db")
        for table in ("user", "template"):
            connection.execute(f"ALTER TABLE {table} RENAME TO hidden_{table}")
        connection.close()
        with pytest.raises(DirectoryUnavailable, match="no such table"):
            await it.template("t")
        with pytest.raises(DirectoryUnavailable):
            await it.check()
        for audience in (Audience(["u0001"]), Audience((), ["odd"])):
            with pytest.raises(DirectoryUnavailable):
                await it.page(audience, Cursor())
