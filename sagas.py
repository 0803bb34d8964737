"""Settings in, the parts out that sagas need."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass

import trio

from messages.events import Observer
from messages.pipeline import Pipeline
from messages.records import Records
from messages.saga.conclusion import Conclusion
from messages.saga.events import EventRules
from messages.saga.ports import Outbox
from messages.saga.sender import Sender
from messages.saga.story import SagaRules, Sagas
from providers.flow_manager import FlowManager
from providers.http1_wire import Http1Wire
from settings import FlowManagerSettings, Settings
from settings.flow_functions import flow_functions


@dataclass(frozen=True, slots=True)
class SagaOffice:
    """What serves sagas. Without a configuration there is only what an earlier one left to show.

    `sender` is there when events have somewhere to go.
    """

    outbox: Outbox
    rules: SagaRules | None = None
    conclusion: Conclusion | None = None
    sender: Sender | None = None

    def sagas(
        self, pipeline: Pipeline, records: Records, observe: Observer, nursery: trio.Nursery
    ) -> Sagas | None:
        """What takes commands, if they are configured."""
        if self.rules is None or self.conclusion is None:
            return None
        return Sagas(self.rules, pipeline, records, self.conclusion, observe, nursery)


def saga_office(
    settings: Settings,
    outbox: Outbox,
    observe: Observer,
    stack: AsyncExitStack,
    tls: ssl.SSLContext,
) -> SagaOffice:
    """The parts that sagas need. Raises ConfigurationError."""
    flow = settings.flow_manager
    if flow is None:
        return SagaOffice(outbox)
    flow_manager = FlowManager(flow.service_url or "", Http1Wire(tls))
    stack.push_async_callback(flow_manager.aclose)
    sender = Sender(outbox, flow_manager, observe)
    return SagaOffice(
        outbox,
        SagaRules(
            flow.metadata_schema, flow_functions(flow), flow.respond_within, flow.repeat_window
        ),
        Conclusion(_event_rules(flow), sender),
        sender if flow.service_url else None,
    )


def _event_rules(flow: FlowManagerSettings) -> EventRules:
    if flow.service_url is None:
        return EventRules()
    return EventRules(
        flow.success_event_label,
        flow.fail_event_label,
        flow.success_policy,
        summary=flow.event_payload == "summary",
    )
