"""The storage of one process: an embedded store."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

from carillon.app.storage import Storage
from carillon.settings import Settings
from carillon.stores.sqlite.clock import SqliteSightings
from carillon.stores.sqlite.database import only_server, open_store
from carillon.stores.sqlite.directory import index_users
from carillon.stores.sqlite.handovers import SqliteHandovers
from carillon.stores.sqlite.journal.journal import SqliteJournal
from carillon.stores.sqlite.life import set_foreign_wal_aside, why_paused
from carillon.stores.sqlite.live_settings import SqliteSettings
from carillon.stores.sqlite.outbox import SqliteOutbox
from carillon.stores.sqlite.pauses import SqlitePauses
from carillon.stores.sqlite.reading import SqliteCalls, SqliteReader, SqliteRecords, SqliteRecovery


async def storage_in_a_file(settings: Settings, stack: AsyncExitStack) -> Storage:
    """What is durable, until the stack is closed.

    Raises:
        StoreError: the store cannot be used, or another service uses it.
    """
    path = settings.directory.store_path
    stack.enter_context(only_server(path))
    notes = set_foreign_wal_aside(path)
    connection = open_store(path)
    try:
        index_users(connection, settings.user_fields)
    finally:
        connection.close()
    journal = SqliteJournal(path, settings.journal.fsync)
    await stack.enter_async_context(journal.running())
    reader = SqliteReader(path, journal.flush)
    recovery, live_settings, outbox = (
        SqliteRecovery(reader),
        SqliteSettings(path),
        SqliteOutbox(path, journal.mark),
    )
    for one in (reader, live_settings, outbox):
        stack.callback(one.close)
    handovers = SqliteHandovers(path)
    return Storage(
        name=str(path),
        journal=journal,
        records=SqliteRecords(reader),
        recovery=recovery,
        live_settings=live_settings,
        outbox=outbox,
        handovers=handovers,
        sightings=SqliteSightings(path),
        retire=[journal.retire, outbox.retire, handovers.retire],
        calls=SqliteCalls(reader, journal.forget_calls),
        pauses=SqlitePauses(path),
        why_paused=partial(reader.read, why_paused, newest=False),
        notes=[*notes, *journal.notes],
    )
