"""What is durable, in a file or in a MongoDB."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from carillon.app.open_storage import open_storage
from carillon.messages.ports.journal import NewDispatch
from carillon.settings import DirectorySettings
from carillon.stores.errors import StoreError
from carillon.stores.mongodb.url import MongoUrl
from tests.running import sandbox_configuration, settings_for
from tests.stores.shelves import entry


async def test_a_file_is_held_by_one_process(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, sandbox_configuration())
    async with AsyncExitStack() as stack:
        storage = await open_storage(settings, stack)
        assert storage.cluster is None
        assert storage.calls is not None
        with pytest.raises(StoreError, match="is in use by another running Carillon"):
            await open_storage(settings, stack)


@pytest.mark.servers
async def test_a_mongodb_is_shared(tmp_path: Path, mongodb: MongoUrl) -> None:
    made = settings_for(tmp_path, sandbox_configuration())
    chosen = DirectorySettings(None, None, None, tmp_path / "none.db", mongodb=mongodb)
    settings = replace(made, directory=chosen)
    async with AsyncExitStack() as stack:
        storage = await open_storage(settings, stack)
        others = await open_storage(settings, stack)
        await storage.journal.open(NewDispatch("d", ["sms"], "{}"))
        await storage.live_settings.change("a", {"n": 1}, entry(1))
        assert await others.records.dispatch("d") is not None
        assert await others.live_settings.overrides() == {"a": {"n": 1}}
        assert await others.recovery.unfinished() == []
    assert not (tmp_path / "none.db").exists()
