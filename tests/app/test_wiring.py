"""Which adapter stands behind which port."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from carillon.app import wiring as assembly
from carillon.app.open_storage import open_storage
from carillon.messages.model import Audience, Cursor
from carillon.settings import DirectorySettings, Settings
from carillon.stores.crud.directory import CrudDirectory
from carillon.stores.mongodb.directory import MongoDirectory
from carillon.stores.mongodb.url import MongoUrl
from carillon.stores.sqlite.directory import SqliteDirectory
from tests.running import sandbox_configuration, settings_for
from tests.stores.shelves import MongoShelf


def settings_on(folder: Path, directory: DirectorySettings | None = None) -> Settings:
    made = settings_for(folder, sandbox_configuration(userFields={"id": "code"}))
    return replace(made, directory=directory or made.directory)


@pytest.mark.servers
async def test_a_mongodb_holds_users(tmp_path: Path, mongodb: MongoUrl) -> None:
    alone = DirectorySettings(None, None, None, tmp_path / "none.db", mongodb=mongodb)
    settings = settings_on(tmp_path, alone)
    MongoShelf(mongodb).add("user", [{"_id": "1", "code": "ada"}])
    async with AsyncExitStack() as stack, httpx.AsyncClient() as client:
        storage = await open_storage(settings, stack)
        chosen = assembly.directory(settings, client, storage.cluster, stack)
        assert isinstance(chosen, MongoDirectory)
        page = await chosen.page(Audience(["ada"]), Cursor())
        assert [one.key for one in page.recipients] == ["1"]
    assert assembly.rules(settings, {}).patience.attempts == 1


@pytest.mark.servers
async def test_the_crud_service_wins_over_a_mongodb(tmp_path: Path, mongodb: MongoUrl) -> None:
    crud = DirectorySettings("http://crud", "users", None, tmp_path / "none.db", mongodb=mongodb)
    settings = settings_on(tmp_path, crud)
    async with AsyncExitStack() as stack, httpx.AsyncClient() as client:
        storage = await open_storage(settings, stack)
        chosen = assembly.directory(settings, client, storage.cluster, stack)
    assert isinstance(chosen, CrudDirectory)
    assert assembly.rules(settings, {}).patience.attempts == crud.attempts


async def test_a_file_holds_users(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack, httpx.AsyncClient() as client:
        chosen = assembly.directory(settings_on(tmp_path), client, None, stack)
        assert isinstance(chosen, SqliteDirectory)
