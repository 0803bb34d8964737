"""Settings in, storage out: a file for one process, a MongoDB for several replicas."""

from __future__ import annotations

import sqlite3
from contextlib import AsyncExitStack

from carillon.app.sqlite_storage import storage_in_a_file
from carillon.app.storage import Storage
from carillon.settings import Settings
from carillon.stores.errors import unopened


async def open_storage(settings: Settings, stack: AsyncExitStack) -> Storage:
    """What is durable, until the stack is closed.

    Raises:
        StoreError: the store cannot be used, or another service uses it.
    """
    if settings.directory.mongodb is None:
        try:
            return await storage_in_a_file(settings, stack)
        except (OSError, sqlite3.Error) as error:
            raise unopened(settings.directory.store_path, error) from None
    # pymongo takes long to import, and a service on a file needs none of it.
    from carillon.app.mongodb_storage import storage_in_mongodb  # noqa: PLC0415

    return await storage_in_mongodb(settings.directory.mongodb, settings, stack)
