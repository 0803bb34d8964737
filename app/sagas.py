"""Settings in, the parts out that sagas need."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

import trio

from carillon.api.checkup import Check, asking
from carillon.app.kafka import CommandConsumer, command_consumer, event_topic
from carillon.dispatches.service import DispatchService
from carillon.http_client.client import Http1Wire
from carillon.messages.clock import Clock
from carillon.messages.events import Observer
from carillon.messages.ports.outbox import Outbox
from carillon.messages.ports.records import Records
from carillon.sagas.completion import Completion
from carillon.sagas.events import EventRules
from carillon.sagas.flow_manager import FlowManager
from carillon.sagas.outbox_relay import Sender
from carillon.sagas.service import SagaRules, Sagas
from carillon.settings import FlowManagerSettings, Settings
from carillon.settings.flow.functions import flow_functions


@dataclass(frozen=True, slots=True)
class SagaServices:
    """What serves sagas. Without a configuration there is only what an earlier one left to show.

    `sender` is there when events have somewhere to go.
    """

    outbox: Outbox
    rules: SagaRules | None = None
    completion: Completion | None = None
    sender: Sender | None = None
    commands: CommandConsumer | None = None

    @property
    def not_ready(self) -> str | None:
        """Why commands cannot be taken yet, if some are to be read from a topic."""
        return None if self.commands is None else self.commands.not_ready

    @property
    def neighbours(self) -> Mapping[str, Check]:
        """What the check-up asks."""
        return {} if self.commands is None else {"kafka": asking(self.commands.check)}

    async def read_commands(self, sagas: Sagas | None, stop: trio.Event) -> None:
        """Take the commands of a topic until it is to stop, if one is configured."""
        if self.commands is not None and sagas is not None:
            await self.commands.run(sagas, stop)

    async def commands_read(self) -> None:
        """Return when no more commands come from a topic: those that have begun are accepted."""
        if self.commands is not None:
            await self.commands.left.wait()

    def sagas(
        self,
        dispatcher: DispatchService,
        records: Records,
        observe: Observer,
        nursery: trio.Nursery,
        ago: Callable[[float], int],
    ) -> Sagas | None:
        """What takes commands, if they are configured."""
        if self.rules is None or self.completion is None:
            return None
        return Sagas(self.rules, dispatcher, records, self.completion, observe, nursery, ago)


async def saga_services(
    settings: Settings,
    outbox: Outbox,
    observe: Observer,
    stack: AsyncExitStack,
    tls: ssl.SSLContext,
    clock: Clock,
) -> SagaServices:
    """The parts that sagas need. Raises ConfigurationError."""
    flow = settings.flow_manager
    if flow is None:
        return SagaServices(outbox)
    flow_manager = event_topic(settings) or FlowManager(flow.service_url or "", Http1Wire(tls))
    stack.push_async_callback(flow_manager.aclose)
    functions = await flow_functions(flow)
    stack.push_async_callback(functions.aclose)
    sender = Sender(outbox, flow_manager, observe, doubts_clock=clock.is_doubted)
    return SagaServices(
        outbox,
        SagaRules(flow.metadata_schema, functions, flow.respond_within, flow.repeat_window),
        Completion(_event_rules(flow), sender),
        sender if flow.tells else None,
        command_consumer(settings, observe),
    )


def _event_rules(flow: FlowManagerSettings) -> EventRules:
    if not flow.tells:
        return EventRules()
    return EventRules(
        flow.success_event_label,
        flow.fail_event_label,
        flow.success_policy,
        summary=flow.event_payload == "summary",
    )
