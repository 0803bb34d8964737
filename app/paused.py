"""A service whose store is paused: it answers why, and sends nothing until an operator lets it."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import Final

import trio
from prometheus_client import CollectorRegistry

from carillon.access.keys import KeyRing
from carillon.access.operator_token import OperatorToken
from carillon.api.access import Gate
from carillon.api.operations import Probes, Readiness
from carillon.api.paused import create_paused_app
from carillon.api.server.exchange import Exchange
from carillon.api.server.listener import Listener, ListenerSettings
from carillon.app.stop import LAST_WORDS, Stop
from carillon.app.storage import Storage
from carillon.messages.errors import JournalUnavailable
from carillon.messages.version import VERSION
from carillon.settings import Settings
from carillon.stores.errors import StoreError
from carillon.telemetry.metrics import Metrics
from carillon.tuning.live import on_hangup

LOOK: Final = 0.5
"""Seconds between two looks whether a paused store may go on."""


async def was_paused(
    settings: Settings,
    stop: Stop,
    logger: logging.Logger,
    storage: Storage,
    task_status: trio.TaskStatus[str],
) -> bool:
    """Tell everybody why nothing is sent until an operator lets the store go on.

    It ends, too, when the service is asked to stop. False at once for a store that is not paused.
    """
    for note in storage.notes:
        logger.warning(note)
    try:
        why = await storage.why_paused()
    except JournalUnavailable as error:
        raise StoreError(f"The store {storage.name} cannot be read: {error}") from None
    if why is None:
        return False
    text = (
        f"The store {storage.name} is paused: {why}. Nothing is sent until `carillon store resume` "
        "has told what may be sent twice"
    )
    logger.warning(text)
    gate = Gate(
        KeyRing(settings.access.keys), OperatorToken(), in_cluster=settings.server.in_cluster
    )
    app = create_paused_app(_paused_probes(text), gate, logger, text)
    serving = listener(settings, Exchange(logger, Metrics(CollectorRegistry())))
    async with trio.open_nursery() as beside:
        beside.start_soon(on_hangup)
        async with trio.open_nursery() as nursery:
            until = partial(_resumed, storage, stop)
            address: str = await nursery.start(serving.serve, app, until, LAST_WORDS, stop.at_once)
            logger.info("paused, listening on %s", address)
            task_status.started(address)
        beside.cancel_scope.cancel()
    logger.info("stopping" if stop.asked.is_set() else "resumed")
    return True


async def _resumed(storage: Storage, stop: Stop) -> None:
    """Wait until the store is paused no more, or the service is asked to stop."""
    while not stop.asked.is_set():
        with trio.move_on_after(LOOK):
            await stop.asked.wait()
        with suppress(JournalUnavailable):
            if await storage.why_paused() is None:
                return


def _paused_probes(why: str) -> Probes:
    async def ask() -> str:
        await trio.lowlevel.checkpoint()
        return why

    return Probes(
        name="carillon",
        version=VERSION,
        readiness=lambda: Readiness(why, {}),
        neighbours={"store": ask},
        registry=CollectorRegistry(),
    )


def listener(settings: Settings, exchange: Exchange) -> Listener:
    """What listens at the configured address."""
    server = settings.server
    listening = ListenerSettings(server.host, server.port, settings.limits.connections, server.h2c)
    return Listener(listening, exchange)
