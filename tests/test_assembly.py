"""Which adapter stands behind which port, where the store is MongoDB."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

import assembly
from messages.model import Audience, Cursor
from settings import DirectorySettings, Settings
from stores.crud_service import CrudDirectory
from stores.mongodb_directory import MongoDirectory
from stores.mongodb_settings import MongoSettings
from stores.mongodb_url import MongoUrl
from stores.sqlite_directory import SqliteDirectory
from stores.sqlite_settings import SqliteSettings
from tests.running import sandbox_configuration, settings_for
from tests.stores.shelves import MongoShelf, entry


def settings_on(folder: Path, directory: DirectorySettings | None = None) -> Settings:
    made = settings_for(folder, sandbox_configuration(userFields={"id": "code"}))
    return replace(made, directory=directory or made.directory)


@pytest.mark.servers
async def test_a_mongodb_holds_users_and_live_settings(tmp_path: Path, mongodb: MongoUrl) -> None:
    directory = DirectorySettings(None, None, None, tmp_path / "none.db", mongodb=mongodb)
    settings = settings_on(tmp_path, directory)
    MongoShelf(mongodb).add("user", [{"_id": "1", "code": "ada"}])
    async with AsyncExitStack() as stack, httpx.AsyncClient() as client:
        store = await assembly.mongodb(settings, stack)
        chosen = assembly.directory(settings, client, store, stack)
        assert isinstance(chosen, MongoDirectory)
        page = await chosen.page(Audience(["ada"]), Cursor())
        assert [one.key for one in page.recipients] == ["1"]
        live = assembly.live_settings(tmp_path / "none.db", store, stack)
        assert isinstance(live, MongoSettings)
        await live.change("a", {"n": 1}, entry(1))
        assert await live.overrides() == {"a": {"n": 1}}
    assert not (tmp_path / "none.db").exists()


@pytest.mark.servers
async def test_the_crud_service_wins_over_a_mongodb(tmp_path: Path, mongodb: MongoUrl) -> None:
    path = tmp_path / "none.db"
    alone = DirectorySettings(None, None, None, path, mongodb=mongodb)
    crud = DirectorySettings("http://crud", "users", None, path, mongodb=mongodb)
    async with AsyncExitStack() as stack, httpx.AsyncClient() as client:
        store = await assembly.mongodb(settings_on(tmp_path, crud), stack)
        chosen = assembly.directory(settings_on(tmp_path, crud), client, store, stack)
    assert isinstance(chosen, CrudDirectory)
    assert assembly.rules(settings_on(tmp_path, crud), {}).patience.attempts == crud.attempts
    assert assembly.rules(settings_on(tmp_path, alone), {}).patience.attempts == 1


async def test_a_file_needs_no_mongodb(tmp_path: Path) -> None:
    settings = settings_on(tmp_path)
    path = assembly.prepare_store(settings)
    async with AsyncExitStack() as stack, httpx.AsyncClient() as client:
        assert await assembly.mongodb(settings, stack) is None
        assert isinstance(assembly.directory(settings, client, None, stack), SqliteDirectory)
        assert isinstance(assembly.live_settings(path, None, stack), SqliteSettings)
