"""The process: open resources, run the supervisor, serve HTTP inside it, stop inside out."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Final

import httpx
import trio
from hypercorn.config import Config
from hypercorn.trio import serve as serve_http
from prometheus_client import CollectorRegistry

import assembly
from actors.guard import Guard
from api.access import Gate
from api.app import Edge, Parts, create_app
from api.keys import KeyRing
from api.logs import EventLog, ObserverFailures, make_logger
from api.metrics import Gauges, Metrics
from api.operations import Probes, Readiness, asking
from api.paused import create_paused_app
from api.told import Waiting
from assembly import SandboxListener
from bookkeeping import Books, open_books
from messages.errors import JournalUnavailable
from messages.events import Observer, fenced, tell_all
from messages.pipeline import Pipeline
from messages.preparation import Rooms
from messages.saga.story import Sagas
from providers.httpx_transport import Http1Transport
from sagas import SagaOffice, saga_office
from settings import ConfigurationFile, Settings
from stores.errors import StoreError
from streams import confirmations
from supervisor import Supervisor
from tuning import LiveTuning, Tuned, follow_file, follow_store, on_hangup, reload
from upkeep import remember_calls, retire_for_ever

LAST_WORDS: Final = 10.0
"""Seconds for answers to leave after the drain; every dispatch has ended by then."""
LOOK: Final = 0.5
"""Seconds between two looks whether a paused store may go on."""


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
    file: ConfigurationFile | None = None


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
        books = await open_books(settings, stack)
        for note in books.notes:
            logger.warning(note)
        if await _was_paused(settings, stop, logger, books, task_status):
            if stop.asked.is_set():
                return
            task_status = trio.TASK_STATUS_IGNORED
        journal, company = books.journal, books.company
        tls = httpx.create_ssl_context()  # shared: to make one takes time and memory
        # Each read is bounded by its caller.
        client = httpx.AsyncClient(timeout=None, transport=Http1Transport(tls))  # noqa: S113
        await stack.enter_async_context(client)
        metrics = Metrics(CollectorRegistry())
        failures = ObserverFailures(logger)
        observe = tell_all([metrics, EventLog(logger), *extras.observers], failures)
        heard = extras.on_sandbox_message
        beside = assembly.Beside(books.handovers, heard and fenced(heard, failures))
        guards = assembly.guards(settings, observe, stack, tls, beside)
        if company is not None:
            company.share(guards)
        specs = assembly.channels(settings, guards)
        supervisor = Supervisor(specs, observe, journal)
        office = saga_office(settings, books.outbox, observe, stack, tls)
        keys = KeyRing(settings.access.keys)
        tuned = Tuned(guards, {spec.name: spec.route for spec in specs}, supervisor, keys)
        tuning = LiveTuning(settings, tuned, books.live_settings, logger)
        try:
            await tuning.restore()
            if books.calls is not None:
                await remember_calls(guards.values(), books.calls)
        except JournalUnavailable as error:
            raise StoreError(f"The store {books.name} cannot be read: {error}") from None
        rooms = Rooms(
            directory=assembly.directory(settings, client, company, stack),
            files=assembly.files(settings, client),
            journal=journal,
            recovery=books.recovery,
            post=supervisor,
            engine=assembly.engine(settings),
            observe=observe,
            pool=None if company is None else company.pool,
        )
        service = _Service(
            settings,
            stop,
            logger,
            supervisor,
            books,
            metrics,
            guards,
            tuning,
            keys,
            office,
        )
        async with trio.open_nursery() as nursery:
            on_signal = []
            if company is not None:
                nursery.start_soon(follow_store, tuning)
            if extras.file is not None:
                nursery.start_soon(follow_file, extras.file, tuning)
                on_signal.append(partial(reload, extras.file.read, tuning, "SIGHUP"))
            nursery.start_soon(on_hangup, *on_signal)
            kept = max(settings.journal.retention, settings.idempotency_expiry)
            nursery.start_soon(retire_for_ever, journal.retire, kept)
            nursery.start_soon(retire_for_ever, office.outbox.retire, kept)
            nursery.start_soon(retire_for_ever, books.handovers.retire, kept)
            if office.sender is not None:
                nursery.start_soon(office.sender.run)
            await service.run(rooms, task_status)
            nursery.cancel_scope.cancel()


async def _was_paused(
    settings: Settings,
    stop: Stop,
    logger: logging.Logger,
    books: Books,
    task_status: trio.TaskStatus[str],
) -> bool:
    """Tell everybody why nothing is sent until an operator lets the store go on.

    It ends, too, when the service is asked to stop. False at once for a store that is not paused.
    """
    try:
        why = await books.why_paused()
    except JournalUnavailable as error:
        raise StoreError(f"The store {books.name} cannot be read: {error}") from None
    if why is None:
        return False
    text = (
        f"The store {books.name} is paused: {why}. Nothing is sent until `carillon store resume` "
        "has told what may be sent twice"
    )
    logger.warning(text)
    app = create_paused_app(_paused_probes(text), _gate(settings), logger, text)
    async with trio.open_nursery() as beside:
        beside.start_soon(on_hangup)
        async with trio.open_nursery() as nursery:
            until = partial(_resumed, books, stop)
            addresses: list[str] = await nursery.start(_serve, settings, app, until)
            logger.info("paused, listening on %s", addresses[0])
            task_status.started(addresses[0])
        beside.cancel_scope.cancel()
    logger.info("stopping" if stop.asked.is_set() else "resumed")
    return True


async def _resumed(books: Books, stop: Stop) -> None:
    """Wait until the store is paused no more, or the service is asked to stop."""
    while not stop.asked.is_set():
        with trio.move_on_after(LOOK):
            await stop.asked.wait()
        with suppress(JournalUnavailable):
            if await books.why_paused() is None:
                return


def _paused_probes(why: str) -> Probes:
    async def ask() -> str:
        await trio.lowlevel.checkpoint()
        return why

    return Probes(
        name="carillon",
        version=version("carillon"),
        readiness=lambda: Readiness(why, {}),
        neighbours={"store": ask},
        registry=CollectorRegistry(),
    )


def _gate(settings: Settings, keys: KeyRing | None = None) -> Gate:
    ring = KeyRing(settings.access.keys) if keys is None else keys
    return Gate(ring, in_cluster=settings.server.in_cluster)


async def _serve(
    settings: Settings,
    app: object,
    until: Callable[[], Awaitable[None]],
    *,
    task_status: trio.TaskStatus[list[str]],
) -> None:
    """Serve an application, and let its last answers leave; gives the addresses."""
    config = Config()
    config.bind = [f"{settings.server.host}:{settings.server.port}"]
    config.graceful_timeout = LAST_WORDS
    config.include_server_header = False
    config.keep_alive_max_requests = 1_000_000  # a caller sees each closed one as a fault
    config.accesslog = None
    config.errorlog = None
    await serve_http(app, config, shutdown_trigger=until, task_status=task_status)  # type: ignore[arg-type]  # typed for ASGI frameworks of its own kind


@dataclass(slots=True)
class _Service:
    """The parts that live as long as the supervisor runs."""

    settings: Settings
    stop: Stop
    logger: logging.Logger
    supervisor: Supervisor
    books: Books
    metrics: Metrics
    guards: Mapping[str, Guard]
    tuning: LiveTuning
    keys: KeyRing
    office: SagaOffice

    async def run(self, rooms: Rooms, task_status: trio.TaskStatus[str]) -> None:
        self.metrics.registry.register(Gauges(self.supervisor, list(self.guards.values())))
        # The supervisor encloses the server: when it dies, the server must die with it.
        async with self.supervisor.running(grace=0), trio.open_nursery() as company:
            async with trio.open_nursery() as dispatches:
                rules = assembly.rules(self.settings, self.tuning.times_to_live)
                pipeline = Pipeline(rooms, rules, dispatches, self.office.conclusion)
                await pipeline.resume()
                if self.books.company is not None:
                    attend = self.books.company.attend
                    company.start_soon(attend, pipeline, self.supervisor.status, self.logger)
                await self._open(pipeline, rooms, dispatches, task_status)
            company.cancel_scope.cancel()
        self.logger.info("drained and down")

    async def _open(
        self,
        pipeline: Pipeline,
        rooms: Rooms,
        dispatches: trio.Nursery,
        task_status: trio.TaskStatus[str],
    ) -> None:
        """Serve HTTP until the service is asked to stop and has drained."""
        sagas = self.office.sagas(pipeline, self.books.records, rooms.observe, dispatches)
        parts = Parts(
            pipeline,
            self.books.records,
            self._probes(rooms),
            self.metrics,
            self.logger,
            self.tuning,
            self.books.live_settings,
            self.supervisor,
            self.office.outbox,
            sagas,
            self.office.sender,
            confirmations(self.settings, self.books, rooms.observe),
        )
        app = create_app(parts, self._edge())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.office.read_commands, sagas, self.stop.asked)
            addresses: list[str] = await nursery.start(
                _serve, self.settings, app, lambda: self._drain(pipeline, sagas)
            )
            self.logger.info("listening on %s", addresses[0])
            task_status.started(addresses[0])

    async def _drain(self, pipeline: Pipeline, sagas: Sagas | None) -> None:
        """Wait for the wish to stop, end what was accepted, then let the server close."""
        await self.stop.asked.wait()
        self.logger.info("stopping")
        with trio.move_on_after(self.settings.server.wait_before_close):
            await self.stop.at_once.wait()
        await self.office.commands_read()
        pipeline.close()
        with trio.move_on_after(self.settings.drain):
            await pipeline.idle()
        pipeline.halt()
        await self.supervisor.halt()
        pipeline.suspend()
        if sagas is not None:
            sagas.hurry()
        with trio.move_on_after(LAST_WORDS):
            await pipeline.idle()

    def _edge(self) -> Edge:
        settings = self.settings
        return Edge(
            most_body_bytes=settings.limits.body_bytes,
            waiting=Waiting(settings.respond_within, settings.server.prefix),
            gate=_gate(settings, self.keys),
            key_expiry=settings.idempotency_expiry,
        )

    def _probes(self, rooms: Rooms) -> Probes:
        return Probes(
            name="carillon",
            version=version("carillon"),
            readiness=self._readiness,
            neighbours={
                "directory": asking(rooms.directory.check),
                "files": asking(rooms.files.check),
                **self.office.neighbours,
            },
            registry=self.metrics.registry,
        )

    def _readiness(self) -> Readiness:
        channels: dict[str, str] = {
            name: status.state for name, status in self.supervisor.status().items()
        }
        reason = self.office.not_ready
        if self.stop.asked.is_set():
            reason = "The service is stopping"
        elif not self.books.journal.is_working:
            reason = "The journal cannot be written"
        elif set(channels.values()) == {"quarantined"}:
            reason = "Every channel is quarantined"
        return Readiness(reason, channels)


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
