"""One of several replicas on a MongoDB: its storage, its heartbeat, and what it takes over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Final

import trio

from carillon.actors.capacity.renewal import ShareRenewer
from carillon.actors.provider.guard import Guard
from carillon.app.storage import Channels, Storage
from carillon.dispatches.service import DispatchService
from carillon.messages.errors import JournalUnavailable
from carillon.messages.ports.directory import Directory
from carillon.messages.ports.work_sharing import CallerRotation, SharedQueue
from carillon.settings import Settings
from carillon.stores.mongodb.capacity import MongoShares
from carillon.stores.mongodb.client import MongoStore, connect, disconnect, prepare, unusable
from carillon.stores.mongodb.clock import MongoSightings
from carillon.stores.mongodb.directory import MongoDirectory, directory_indexes
from carillon.stores.mongodb.editing import MongoEditing
from carillon.stores.mongodb.handovers import HANDOVER_INDEXES, MongoHandovers
from carillon.stores.mongodb.journal.dispatches import KEY_INDEXES, OBSOLETE_KEY_INDEXES
from carillon.stores.mongodb.journal.journal import MongoJournal
from carillon.stores.mongodb.live_settings import SETTINGS_INDEXES, MongoSettings
from carillon.stores.mongodb.outbox import OUTBOX_INDEXES, MongoOutbox
from carillon.stores.mongodb.reading import MongoReader, MongoRecords
from carillon.stores.mongodb.recovery import MongoRecovery
from carillon.stores.mongodb.replicas import BEAT, MongoReplicas
from carillon.stores.mongodb.schema import JOURNAL_INDEXES
from carillon.stores.mongodb.url import MongoUrl
from carillon.stores.mongodb.work_sharing import MongoPool
from carillon.stores.ports import Editing

ASSIST: Final = 0.25
"""Seconds between two looks for deliveries that others offer."""
FEW: Final = 50
"""With fewer deliveries than these a channel takes some of those that others offer, and so many:"""
MOST_TAKEN: Final = 200
LOOK: Final = 1.0
"""Seconds between two looks for work that nobody does, and for what was cancelled elsewhere."""


async def storage_in_mongodb(url: MongoUrl, settings: Settings, stack: AsyncExitStack) -> Storage:
    """What is durable, until the stack is closed.

    Raises:
        StoreError: it cannot be reached, refuses us, or is newer than this version.
    """
    client = await trio.to_thread.run_sync(connect, url)
    stack.callback(disconnect, client)
    indexes = {
        **directory_indexes(settings.user_fields),
        **SETTINGS_INDEXES,
        **JOURNAL_INDEXES,
        **KEY_INDEXES,
        **OUTBOX_INDEXES,
        **HANDOVER_INDEXES,
    }
    preparing = partial(prepare, client, url, indexes, obsolete=OBSOLETE_KEY_INDEXES)
    await trio.to_thread.run_sync(preparing, abandon_on_cancel=True)

    def store() -> MongoStore:  # each with as many threads as it likes: none waits for another
        return MongoStore(client, url.database)

    replicas = MongoReplicas(store())
    try:
        await replicas.join()
    except JournalUnavailable as error:
        raise unusable(url, error) from None
    stack.push_async_callback(_leave, replicas)
    journal = MongoJournal(store(), lambda: replicas.id, lambda: replicas.holds_lease)
    await stack.enter_async_context(journal.running())
    reader = MongoReader(store(), journal.flush)
    recovery = MongoRecovery(reader, journal, lambda: replicas.id, lambda: replicas.living)
    outbox = MongoOutbox(store(), lambda: replicas.id, lambda: replicas.living)
    handovers = MongoHandovers(store())
    return Storage(
        name=str(url),
        journal=journal,
        records=MongoRecords(reader),
        recovery=recovery,
        live_settings=MongoSettings(store()),
        handovers=handovers,
        sightings=MongoSightings(store()),
        outbox=outbox,
        retire=[journal.retire, journal.retire_keys, outbox.retire, handovers.retire],
        cluster=ReplicaCluster(store, replicas, recovery, MongoPool(reader, journal, replicas)),
    )


async def _leave(replicas: MongoReplicas) -> None:
    with trio.CancelScope(shield=True), suppress(JournalUnavailable):
        await replicas.leave()


class ReplicaCluster:
    """Implements `Cluster`; `store` gives access with threads of its own."""

    def __init__(
        self,
        store: Callable[[], MongoStore],
        replicas: MongoReplicas,
        recovery: MongoRecovery,
        pool: SharedQueue,
    ) -> None:
        self.pool = pool
        self._store = store
        self._replicas = replicas
        self._recovery = recovery
        self._keeper: ShareRenewer

    def directory(self, settings: Settings) -> Directory:
        """See the port."""
        return MongoDirectory(self._store(), settings.user_fields, settings.directory.timeout)

    def editing(self, settings: Settings) -> Editing:
        """See the port."""
        return MongoEditing(self._store(), settings.user_fields)

    def share(self, guards: Mapping[str, Guard]) -> None:
        """See the port."""
        shares = MongoShares(self._store())
        self._keeper = ShareRenewer(shares, lambda: self._replicas.id, guards)

    async def attend(
        self,
        dispatcher: DispatchService,
        channels: Channels,
        turns: CallerRotation,
        logger: logging.Logger,
    ) -> None:
        """See the port."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keeper.run, turns.callers_waiting)
                nursery.start_soon(self._beat, dispatcher, turns, logger)
                nursery.start_soon(self._look, dispatcher)
                nursery.start_soon(self._assist, dispatcher, channels, turns)
        finally:
            with trio.CancelScope(shield=True):
                await self._keeper.leave()

    async def _beat(
        self, dispatcher: DispatchService, turns: CallerRotation, logger: logging.Logger
    ) -> None:
        while True:
            await trio.sleep(BEAT)
            with suppress(JournalUnavailable):  # the journal says so, and louder
                if not await self._replicas.beat(turns):
                    logger.warning("taken for dead by another replica; starting anew")
                    dispatcher.disown()
                    await self._replicas.join()

    async def _look(self, dispatcher: DispatchService) -> None:
        while True:
            await trio.sleep(LOOK)
            with suppress(JournalUnavailable):
                await dispatcher.resume()
                for dispatch_id in await self._recovery.cancelled(dispatcher.borrowed):
                    dispatcher.cancelled_elsewhere(dispatch_id)

    async def _assist(
        self, dispatcher: DispatchService, channels: Channels, turns: CallerRotation
    ) -> None:
        while True:
            await trio.sleep(ASSIST)
            room = {
                name: MOST_TAKEN
                for name, one in channels().items()
                if one.state == "running" and one.depth < FEW
            }
            with suppress(JournalUnavailable):
                await dispatcher.borrow(room, turns.weight)
