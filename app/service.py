"""The process: open resources, run the supervisor, serve HTTP inside it, stop inside out."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

import httpx
import trio
from prometheus_client import CollectorRegistry

from carillon.access.keys import KeyRing
from carillon.access.operator_token import OperatorToken
from carillon.actors.provider.guard import Guard
from carillon.api.access import Gate
from carillon.api.app import Edge, Parts, create_app
from carillon.api.checkup import provider_checks
from carillon.api.operations import Probes, Readiness
from carillon.api.server.exchange import Exchange
from carillon.api.server.listener import Listener
from carillon.api.snapshot import Waiting
from carillon.app import wiring as assembly
from carillon.app.kafka import confirmations
from carillon.app.maintenance import keep_house, take_up, watch_store
from carillon.app.open_storage import open_storage
from carillon.app.paused import listener, was_paused
from carillon.app.sagas import SagaServices, saga_services
from carillon.app.stop import LAST_WORDS, Stop
from carillon.app.storage import Storage
from carillon.app.wiring import SandboxListener
from carillon.dispatches.planner import Ports
from carillon.dispatches.service import DispatchService
from carillon.http_client.httpx_transport import Http1Transport
from carillon.http_client.resolver import Resolver
from carillon.messages.clock import Clock
from carillon.messages.errors import unwritable
from carillon.messages.events import Observer, fenced, tell_all
from carillon.messages.offload import tune_memory
from carillon.messages.version import VERSION
from carillon.sagas.service import Sagas
from carillon.settings import ConfigurationFile, Settings
from carillon.settings.descriptors import most, raise_limit, shortage
from carillon.stores.editing import DirectoryEditor
from carillon.supervisor import Supervisor
from carillon.telemetry.event_log import EventLog
from carillon.telemetry.logs import ObserverFailures, leave, log_what_nobody_catches, make_logger
from carillon.telemetry.metrics import Gauges, Metrics
from carillon.tuning.live import LiveTuning, Tuned, follow_file, follow_store, on_hangup, reload


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
    trio.socket.set_custom_hostname_resolver(Resolver())
    async with AsyncExitStack() as stack:
        storage = await open_storage(settings, stack)
        started = assembly.introduction(settings, storage.name, extras.file)
        logger.info("starting", extra={"fields": started})
        if await was_paused(settings, stop, logger, storage, task_status):
            if stop.asked.is_set():
                return
            task_status = trio.TASK_STATUS_IGNORED
        journal, cluster = storage.journal, storage.cluster
        tls = httpx.create_ssl_context()  # shared: to make one takes time and memory
        # Each read is bounded by its caller.
        client = httpx.AsyncClient(timeout=None, transport=Http1Transport(tls))  # noqa: S113
        await stack.enter_async_context(client)
        metrics = Metrics(CollectorRegistry())
        failures = ObserverFailures(logger)
        observe = tell_all([metrics, EventLog(logger), *extras.observers], failures)
        heard = extras.on_sandbox_message
        beside = assembly.Beside(storage.handovers, heard and fenced(heard, failures))
        guards = assembly.guards(settings, observe, stack, tls, beside)
        if cluster is not None:
            cluster.share(guards)
        specs = assembly.channels(settings, guards)
        clock = Clock(storage.sightings, logger)
        keys = KeyRing(settings.access.keys)
        supervisor = Supervisor(specs, observe, journal, keys.weight)
        services = await saga_services(settings, storage.outbox, observe, stack, tls, clock)
        tuned = Tuned(guards, {spec.name: spec.route for spec in specs}, supervisor, keys)
        tuning = LiveTuning(settings, tuned, storage.live_settings, logger)
        await take_up(storage, clock, tuning, guards)
        ports = Ports(
            directory=assembly.directory(settings, client, cluster, stack),
            files=assembly.files(settings, client),
            journal=journal,
            recovery=storage.recovery,
            post=supervisor,
            engine=assembly.engine(settings),
            observe=observe,
            pool=None if cluster is None else cluster.pool,
        )
        service = _Service(
            settings,
            stop,
            logger,
            supervisor,
            storage,
            metrics,
            guards,
            tuning,
            keys,
            services,
            listener(settings, Exchange(logger, metrics)),
            clock,
            assembly.editor(settings, cluster, stack, ports.offload),
        )
        stack.callback(service.token.remove)
        async with trio.open_nursery() as nursery:
            on_signal = []
            if cluster is not None:
                nursery.start_soon(follow_store, tuning)
            if extras.file is not None:
                nursery.start_soon(follow_file, extras.file, tuning)
                on_signal.append(partial(reload, extras.file.read, tuning, "SIGHUP"))
            nursery.start_soon(on_hangup, *on_signal)
            keep_house(nursery, settings, storage, guards, clock, observe)
            nursery.start_soon(watch_store, journal, storage.name, observe)
            nursery.start_soon(ports.offload.give_memory_back)
            if services.sender is not None:
                nursery.start_soon(services.sender.run)
            await service.run(ports, task_status)
            nursery.cancel_scope.cancel()


@dataclass(slots=True)
class _Service:
    """The parts that live as long as the supervisor runs."""

    settings: Settings
    stop: Stop
    logger: logging.Logger
    supervisor: Supervisor
    storage: Storage
    metrics: Metrics
    guards: Mapping[str, Guard]
    tuning: LiveTuning
    keys: KeyRing
    services: SagaServices
    listener: Listener
    clock: Clock
    editor: DirectoryEditor | None
    token: OperatorToken = field(default_factory=OperatorToken)

    async def run(self, ports: Ports, task_status: trio.TaskStatus[str]) -> None:
        guards = list(self.guards.values())
        gauges = Gauges(self.supervisor, guards, lambda: self.listener.open_connections)
        self.metrics.registry.register(gauges)
        # The supervisor encloses the server: when it dies, the server must die with it.
        async with self.supervisor.running(grace=0), trio.open_nursery() as cluster:
            async with trio.open_nursery() as dispatches:
                rules = assembly.rules(self.settings, self.tuning.times_to_live)
                dispatcher = DispatchService(ports, rules, dispatches, self.services.completion)
                await dispatcher.resume()
                if self.storage.cluster is not None:
                    attend = self.storage.cluster.attend
                    supervisor, logger = self.supervisor, self.logger
                    cluster.start_soon(attend, dispatcher, supervisor.status, supervisor, logger)
                await self._open(dispatcher, ports, dispatches, task_status)
            cluster.cancel_scope.cancel()
        self.logger.info("drained and down")

    async def _open(
        self,
        dispatcher: DispatchService,
        ports: Ports,
        dispatches: trio.Nursery,
        task_status: trio.TaskStatus[str],
    ) -> None:
        """Serve HTTP until the service is asked to stop and has drained."""
        sagas = self.services.sagas(
            dispatcher, self.storage.records, ports.observe, dispatches, self.clock.since
        )
        parts = Parts(
            dispatcher,
            self.storage.records,
            self._probes(ports),
            self.metrics,
            self.logger,
            self.tuning,
            self.storage.live_settings,
            self.supervisor,
            self.services.outbox,
            sagas,
            self.services.sender,
            confirmations(self.settings, self.storage, ports.observe),
            ports.offload,
            self.editor,
        )
        app = create_app(parts, self._edge())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.services.read_commands, sagas, self.stop.asked)
            address: str = await nursery.start(
                self.listener.serve,
                app.all_routes,
                lambda: self._drain(dispatcher, sagas),
                LAST_WORDS,
                self.stop.at_once,
                app.fast,
            )
            self._let_operators_in(urlsplit(address).port or 0)
            self.logger.info("listening on %s", address)
            task_status.started(address)

    def _let_operators_in(self, port: int) -> None:
        """Without API keys, write the token that operators' routes need."""
        if self.settings.server.in_cluster or not self.keys.is_empty:
            return
        file = self.settings.access.token_place.at(port)
        reason = "neither OPERATOR_TOKEN_FILE nor HOME names a place for it"
        if file is not None:
            try:
                self.token.publish(file)
            except OSError as error:
                reason = f"{file}: {error.strerror}"
            else:
                return
        self.logger.warning(
            "operators' routes are off: the operator token cannot be written (%s); name another "
            "file in OPERATOR_TOKEN_FILE, or configure API_KEYS",
            reason,
        )

    async def _drain(self, dispatcher: DispatchService, sagas: Sagas | None) -> None:
        """Wait for the wish to stop, end what was accepted, then let the server close."""
        await self.stop.asked.wait()
        self.logger.info("stopping")
        with trio.move_on_after(self.settings.server.wait_before_close):
            await self.stop.at_once.wait()
        await self.stop.unless_at_once(self.services.commands_read, math.inf)
        dispatcher.close()
        await self.stop.unless_at_once(dispatcher.idle, self.settings.drain)
        dispatcher.halt()
        await self.supervisor.halt()
        dispatcher.suspend()
        if sagas is not None:
            sagas.stop_waiting()
        with trio.move_on_after(LAST_WORDS):
            await dispatcher.idle()

    def _edge(self) -> Edge:
        settings = self.settings
        return Edge(
            most_body_bytes=settings.limits.body_bytes,
            waiting=Waiting(settings.respond_within, settings.server.prefix),
            gate=Gate(self.keys, self.token, in_cluster=settings.server.in_cluster),
            key_expiry=settings.idempotency_expiry,
            ago=self.clock.since,
            most_values=settings.limits.values,
            kept=settings.rows_kept,
        )

    def _probes(self, ports: Ports) -> Probes:
        others = assembly.checks(self.settings, ports) | dict(self.services.neighbours)
        return Probes(
            name="carillon",
            version=VERSION,
            readiness=self._readiness,
            neighbours=others | provider_checks(self.guards, others),
            registry=self.metrics.registry,
        )

    def _readiness(self) -> Readiness:
        status = self.supervisor.status()
        channels: dict[str, str] = {name: one.state for name, one in status.items()}
        reason = self.services.not_ready
        if self.stop.asked.is_set():
            reason = "The service is stopping"
        elif not self.storage.journal.is_working:
            reason = str(unwritable(self.storage.journal.trouble))
        elif set(channels.values()) == {"quarantined"}:
            reason = "Every channel is quarantined"
        return Readiness(reason, channels)


async def _run_until_signalled(
    settings: Settings, logger: logging.Logger, extras: Extras
) -> BaseException | None:
    """Serve until a signal ends it. Gives what ended it otherwise, once it listened."""
    stop, listens = Stop(), False
    try:
        async with trio.open_nursery() as nursery:

            async def serve(*, task_status: trio.TaskStatus[str]) -> None:
                await run(settings, stop, logger, extras, task_status=task_status)
                nursery.cancel_scope.cancel()

            nursery.start_soon(stop.on_signals)
            await nursery.start(serve)
            listens = True
    except (Exception, BaseExceptionGroup) as error:
        if not listens:
            raise
        return error
    return None


def main(settings: Settings, extras: Extras = Extras()) -> None:
    """Serve in this process until SIGTERM or SIGINT.

    What ends it otherwise is its last line of the log, and the exit code is 1 then: a traceback
    would show what requests hold.

    Raises:
        StoreError: the store cannot be used, or another service uses it.
        OSError: the address cannot be listened on.
    """
    server = settings.server
    logger = make_logger(server.log_level, sys.stdout, server.log_format)
    log_what_nobody_catches(logger)
    raise_limit()
    for warning in (*settings.warnings, shortage(settings, most())):
        if warning is not None:
            logger.warning(warning)
    try:
        tune_memory()
        crash = trio.run(_run_until_signalled, settings, logger, extras)
        if crash is not None:
            logger.critical("crashed", exc_info=crash)
    finally:
        leave(sys.stdout)
    if crash is not None:
        sys.exit(1)
