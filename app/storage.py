"""Settings in, out comes what is durable: the journal, what reads it, live settings, the outbox.

A file holds it for one process, a MongoDB for several replicas.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from carillon.actors.channel import ChannelStatus
from carillon.actors.provider.guard import Guard
from carillon.dispatches.service import Pipeline
from carillon.messages.clock import Sightings
from carillon.messages.model import Channel
from carillon.messages.ports.directory import Directory
from carillon.messages.ports.handovers import Handovers
from carillon.messages.ports.journal import Journal
from carillon.messages.ports.outbox import Outbox
from carillon.messages.ports.records import PastCalls, Pauses, Records, Recovery
from carillon.messages.ports.work_sharing import Pool, Turns
from carillon.settings import Settings
from carillon.stores.errors import unopened
from carillon.stores.ports import LiveSettings
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

Retire = Callable[[int], Awaitable[bool]]
"""Erases a part of what ended before a time, in milliseconds since 1970; whether more is left.

Raises JournalUnavailable.
"""

Channels = Callable[[], Mapping[Channel, ChannelStatus]]
"""Every channel at this moment."""


class Company(Protocol):
    """What a service does as one of several replicas; the `pool` is what they offer each other."""

    @property
    def pool(self) -> Pool:
        """What replicas offer each other."""
        ...

    def directory(self, settings: Settings) -> Directory:
        """Where users and templates are read from when there is no CRUD Service."""
        ...

    def share(self, guards: Mapping[str, Guard]) -> None:
        """Let the guards start nothing but on a share of their limits."""
        ...

    async def attend(
        self, pipeline: Pipeline, channels: Channels, turns: Turns, logger: logging.Logger
    ) -> None:
        """Show for ever that this replica lives, and take up what others have left, or offer.

        Callers take `turns` over all replicas.
        """
        ...


async def _never_paused() -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Books:
    """Everything durable behind its ports.

    With a `company` there are other replicas; without one `calls` and `pauses` are those of the
    process before this one.
    `why_paused` says why nothing may be sent until an operator lets the store go on; it raises
    JournalUnavailable. `notes` are sentences for the log.
    """

    name: str
    journal: Journal
    records: Records
    recovery: Recovery
    live_settings: LiveSettings
    outbox: Outbox
    handovers: Handovers
    sightings: Sightings
    retire: Sequence[Retire]
    calls: PastCalls | None = None
    pauses: Pauses | None = None
    company: Company | None = None
    why_paused: Callable[[], Awaitable[str | None]] = _never_paused
    notes: Sequence[str] = ()


async def open_books(settings: Settings, stack: AsyncExitStack) -> Books:
    """What is durable, until the stack is closed.

    Raises:
        StoreError: the store cannot be used, or another service uses it.
    """
    if settings.directory.mongodb is None:
        try:
            return await _in_a_file(settings, stack)
        except (OSError, sqlite3.Error) as error:
            raise unopened(settings.directory.store_path, error) from None
    # pymongo takes long to import, and a service on a file needs none of it.
    from carillon.app.mongodb_storage import books_in_mongodb  # noqa: PLC0415

    return await books_in_mongodb(settings.directory.mongodb, settings, stack)


async def _in_a_file(settings: Settings, stack: AsyncExitStack) -> Books:
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
    return Books(
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
