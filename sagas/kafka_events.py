"""The Flow Manager's events topic: an event is accepted once the cluster has stored it.

Contract: `@mia-platform/flow-manager-client` (contracts 1.6): the key is the saga's id, the value
`{messageLabel, messagePayload}`. A header tells a retry of an event from another event.
"""

from __future__ import annotations

from typing import Final

from carillon.kafka.producer import KafkaProducer
from carillon.kafka.reports import NotStored, Stored
from carillon.messages.model import Accepted, Document, Refused, Unavailable
from carillon.messages.ports.outbox import PostResult, SagaEvent
from carillon.providers.encoding import json_body

SERVICE: Final = "Kafka"


class KafkaEvents:
    """Implements `messages.ports.outbox.FlowManager`."""

    def __init__(self, producer: KafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def post(self, event: SagaEvent) -> PostResult:
        """Produce an event once. Without a report it counts as not produced and is retried."""
        problem = await self._producer.problem(self._topic)
        if problem is not None:
            return Unavailable(f"{SERVICE}: {problem.error}")
        value: Document = {"messageLabel": event.label, "messagePayload": event.payload}
        report = await self._producer.produce(
            self._topic, event.key, json_body(value), {"idempotency-key": event.id}
        )
        if isinstance(report, Stored):
            return Accepted()
        error = f"{SERVICE}: {report.error}"
        if isinstance(report, NotStored) and report.refused:
            return Refused(error)
        return Unavailable(error)

    async def aclose(self) -> None:
        """End the producer."""
        await self._producer.aclose()
