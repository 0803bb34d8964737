"""The process: open resources, run the supervisor, serve HTTP inside it, stop inside out."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

import httpx
import trio
from hypercorn.config import Config
from hypercorn.trio import serve as serve_http
from prometheus_client import CollectorRegistry

import assembly
from actors.guard import Guard
from api.app import Edge, Parts, create_app
from api.logs import EventLog, make_logger
from api.metrics import Gauges, Metrics
from api.operations import Check, Probes, Readiness
from api.send import Waiting
from assembly import SandboxListener
from messages.errors import TryLater
from messages.events import DeliveryEnded, Event, Observer, tell_all
from messages.pipeline import Pipeline, Rooms
from messages.ports import Records
from settings import Settings
from stores.sqlite import only_server
from stores.sqlite_journal import SqliteJournal
from stores.sqlite_records import SqliteRecords
from supervisor import Supervisor

LAST_WORDS: Final = 10.0
"""Seconds for answers to leave after the drain; every dispatch has ended by then."""


@dataclass(slots=True)
class Stop:
    """The wish to stop: `asked` begins it, `at_once` skips the wait before the drain."""

    asked: trio.Event = field(default_factory=trio.Event)
    at_once: trio.Event = field(default_factory=trio.Event)

    async def on_signals(self) -> None:
        """Turn the first SIGTERM or SIGINT into `asked` and the second into `at_once`."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                (self.at_once if self.asked.is_set() else self.asked).set()


@dataclass(frozen=True, slots=True)
class Extras:
    """What a demo or a test adds to the service."""

    observers: Sequence[Observer] = ()
    on_sandbox_message: SandboxListener | None = None


async def run(
    settings: Settings,
    stop: Stop,
    logger: logging.Logger,
    extras: Extras = Extras(),
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until asked to stop, then drain. Gives the address it listens on once it does.

    Raises:
        StoreError: the store cannot be used, or another service uses it.
        OSError: the address cannot be listened on.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(only_server(settings.directory.store_path))
        store = assembly.prepare_store(settings)
        journal, records = SqliteJournal(store), SqliteRecords(store)
        await stack.enter_async_context(journal.running())
        stack.callback(records.close)
        tls = httpx.create_ssl_context()  # shared: to make one takes time and memory
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=None, verify=tls))  # noqa: S113 - each read is bounded by its caller
        metrics = Metrics(CollectorRegistry())
        observe = tell_all([_journalling(journal), metrics, EventLog(logger), *extras.observers])
        guards = assembly.guards(settings, observe, stack, tls, extras.on_sandbox_message)
        supervisor = Supervisor(assembly.channels(settings, guards), observe)
        rooms = Rooms(
            directory=assembly.directory(settings, client, stack),
            files=assembly.files(settings, client),
            journal=journal,
            post=supervisor.post,
            engine=assembly.engine(settings),
            observe=observe,
        )
        service = _Service(settings, stop, logger, supervisor, journal, records, metrics, guards)
        await service.run(rooms, task_status)


def _journalling(journal: SqliteJournal) -> Observer:
    def observe(event: Event) -> None:
        if isinstance(event, DeliveryEnded):
            journal.record(event.receipt)

    return observe


@dataclass(slots=True)
class _Service:
    """The parts that live as long as the supervisor runs."""

    settings: Settings
    stop: Stop
    logger: logging.Logger
    supervisor: Supervisor
    journal: SqliteJournal
    records: Records
    metrics: Metrics
    guards: Mapping[str, Guard]

    async def run(self, rooms: Rooms, task_status: trio.TaskStatus[str]) -> None:
        self.metrics.registry.register(Gauges(self.supervisor, list(self.guards.values())))
        # The supervisor encloses the server: when it dies, the server must die with it.
        async with self.supervisor.running(grace=0), trio.open_nursery() as dispatches:
            pipeline = Pipeline(rooms, assembly.rules(self.settings), dispatches)
            parts = Parts(pipeline, self.records, self._probes(rooms), self.metrics, self.logger)
            app = create_app(parts, self._edge())
            async with trio.open_nursery() as nursery:
                addresses: list[str] = await nursery.start(
                    self._serve, app, lambda: self._drain(pipeline)
                )
                self.logger.info("listening on %s", addresses[0])
                task_status.started(addresses[0])
        self.logger.info("drained and down")

    async def _serve(
        self,
        app: object,
        until: Callable[[], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[list[str]],
    ) -> None:
        config = Config()
        config.bind = [f"{self.settings.server.host}:{self.settings.server.port}"]
        config.graceful_timeout = LAST_WORDS
        config.include_server_header = False
        config.keep_alive_max_requests = 1_000_000  # a caller sees each closed one as a fault
        config.accesslog = None
        config.errorlog = None
        await serve_http(app, config, shutdown_trigger=until, task_status=task_status)  # type: ignore[arg-type]  # typed for ASGI frameworks of its own kind

    async def _drain(self, pipeline: Pipeline) -> None:
        """Wait for the wish to stop, end what was accepted, then let the server close."""
        await self.stop.asked.wait()
        self.logger.info("stopping")
        with trio.move_on_after(self.settings.server.wait_before_close):
            await self.stop.at_once.wait()
        pipeline.close()
        with trio.move_on_after(self.settings.drain):
            await pipeline.idle()
        pipeline.halt()
        await self.supervisor.halt()
        with trio.move_on_after(LAST_WORDS):
            await pipeline.idle()

    def _edge(self) -> Edge:
        settings = self.settings
        return Edge(
            most_body_bytes=settings.limits.body_bytes,
            waiting=Waiting(settings.respond_within, settings.server.prefix),
        )

    def _probes(self, rooms: Rooms) -> Probes:
        return Probes(
            name="carillon",
            version=version("carillon"),
            readiness=self._readiness,
            neighbours={
                "directory": _asking(rooms.directory.check),
                "files": _asking(rooms.files.check),
            },
            registry=self.metrics.registry,
        )

    def _readiness(self) -> Readiness:
        channels: dict[str, str] = {
            name: status.state for name, status in self.supervisor.status().items()
        }
        reason = None
        if self.stop.asked.is_set():
            reason = "The service is stopping"
        elif not self.journal.is_working:
            reason = "The journal cannot be written"
        elif set(channels.values()) == {"quarantined"}:
            reason = "Every channel is quarantined"
        return Readiness(reason, channels)


def _asking(check: Callable[[], Awaitable[None]]) -> Check:
    async def ask() -> str | None:
        try:
            await check()
        except TryLater as error:
            return str(error)
        return None

    return ask


async def _run_until_signalled(settings: Settings, extras: Extras) -> None:
    stop = Stop()
    logger = make_logger(settings.server.log_level, sys.stdout)
    for warning in settings.warnings:
        logger.warning(warning)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop.on_signals)
        await run(settings, stop, logger, extras)
        nursery.cancel_scope.cancel()


def main(settings: Settings, extras: Extras = Extras()) -> None:
    """Serve in this process until SIGTERM or SIGINT. Raises as `run` does."""
    trio.run(_run_until_signalled, settings, extras)
