"""Users and templates in the embedded store."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from messages.errors import DirectoryUnavailable, TemplateNotFound
from messages.model import Audience, Cursor, Document, Recipient, UserFields
from stores.sqlite import open_store
from stores.sqlite_directory import (
    PAGE,
    SMALL_PAGE,
    SqliteDirectory,
    import_documents,
    index_users,
    list_documents,
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


async def test_listed_ids_keep_their_order_and_the_missing_are_told(tmp_path: Path) -> None:
    async with directory(tmp_path, MANY) as it:
        names = [str(user["_id"]) for user in MANY][::-1]
        found, missing = await everybody(it, Audience([*names, "x", ""]))
    assert [one.user_id for one in found] == names
    assert missing == ["x", ""]


async def test_cluster_members_come_once_a_walk(tmp_path: Path) -> None:
    async with directory(tmp_path, MANY) as it:
        found, missing = await everybody(it, Audience((), ["even", "all", "odd", "none", "all"]))
    assert [one.key for one in found] == sorted(str(user["_id"]) for user in MANY)
    assert missing == []


async def test_a_list_and_a_cluster_follow_each_other(tmp_path: Path) -> None:
    async with directory(tmp_path, MANY) as it:
        found, _ = await everybody(it, Audience(["u0001"], ["even"]))
    assert found[0].key == "u0001"
    assert len(found) == 1 + len(MANY) // 2


async def test_an_id_of_odd_characters_is_that_id_and_no_other(tmp_path: Path) -> None:
    odd = ["a", "a\0", "a\0b", "0", "'", '"\\', "\u20ac \U0001f514", "long" * 10_000]
    users: list[Document] = [{"_id": key, "code": key, "clusters": "c"} for key in odd]
    for fields in (UserFields(), UserFields(id="code")):
        (tmp_path / fields.id).mkdir()
        async with directory(tmp_path / fields.id, users, fields=fields) as it:
            found, missing = await everybody(it, Audience([*odd, "a\0c", "\0"]))
            assert [(one.user_id, one.key) for one in found] == [(key, key) for key in odd]
            assert missing == ["a\0c", "\0"]
            found, _ = await everybody(it, Audience((), ["c"]))
            assert [one.key for one in found] == sorted(odd)


async def test_only_public_users_are_there(tmp_path: Path) -> None:
    users: list[Document] = [
        {"_id": "draft", "__STATE__": "DRAFT", "clusters": "c"},
        {"_id": "public", "clusters": "c"},
    ]
    async with directory(tmp_path, users) as it:
        found, missing = await everybody(it, Audience(["draft", "public"], ["c"]))
    assert [one.key for one in found] == ["public", "public"]
    assert missing == ["draft"]


async def test_other_fields_are_indexed_when_the_configuration_names_them(
    tmp_path: Path,
) -> None:
    users: list[Document] = [
        {"_id": "1", "code": "A", "groups": ["g"]},
        {"_id": "2", "code": "A"},
        {"_id": "3", "code": 7, "groups": "g"},
    ]
    fields = UserFields(id="code", clusters="groups")
    async with directory(tmp_path, users, fields=fields) as it:
        found, missing = await everybody(it, Audience(["A", "7", "B"], ["g"]))
    assert [(one.user_id, one.key) for one in found] == [
        ("A", "1"),
        ("A", "2"),
        ("7", "3"),
        ("A", "1"),
        ("7", "3"),
    ]
    assert missing == ["B"]


async def test_an_import_beside_a_service_uses_the_fields_of_the_service(tmp_path: Path) -> None:
    fields = UserFields(id="code", clusters="groups")
    async with directory(tmp_path, fields=fields) as it:
        connection = open_store(tmp_path / "store.db")
        list(import_documents(connection, "user", [{"_id": "1", "code": "A", "groups": "g"}]))
        list(import_documents(connection, "user", [{"_id": "1", "code": "B", "groups": "h"}]))
        connection.close()
        found, missing = await everybody(it, Audience(["A", "B"], ["g", "h"]))
    assert [one.user_id for one in found] == ["B", "B"]
    assert missing == ["A"]


async def test_a_template_is_found_by_its_id(tmp_path: Path) -> None:
    templates: list[Document] = [
        {"_id": "t", "smsMessage": "x"},
        {"_id": "d", "__STATE__": "TRASH"},
    ]
    async with directory(tmp_path, templates=templates) as it:
        assert (await it.template("t"))["smsMessage"] == "x"
        for name in ("d", "none"):
            with pytest.raises(TemplateNotFound, match=name):
                await it.template(name)


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


def test_documents_get_an_id_and_a_state_and_are_replaced_by_their_id(tmp_path: Path) -> None:
    connection = open_store(tmp_path / "store.db")
    list(import_documents(connection, "user", [{"name": "new"}, {"_id": "a", "name": "old"}]))
    list(import_documents(connection, "user", [{"_id": "a", "name": "newer"}]))
    found = list(list_documents(connection, "user"))
    connection.close()
    assert sorted(str(one["name"]) for one in found) == ["new", "newer"]
    assert all(one["_id"] and one["__STATE__"] == "PUBLIC" for one in found)
