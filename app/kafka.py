"""Settings in, the parts out that need Kafka. Its client is imported here and only when it is used.

What takes part in a stream of commands (the group's membership, its health) is one object, so that
the service need not know whether there is one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import trio

from carillon.app.storage import Storage
from carillon.dispatches.confirmations import Confirmations
from carillon.messages.errors import TryLater
from carillon.messages.events import Observer
from carillon.messages.ports.outbox import FlowManager
from carillon.sagas.kafka_commands import CommandStream
from carillon.sagas.kafka_records import RecordReader
from carillon.sagas.service import Sagas
from carillon.settings import (
    KafkaSettings,
    Settings,
    StreamSettings,
)

if TYPE_CHECKING:
    from carillon.kafka.producer import KafkaProducer

EVENT_TIMEOUT: Final = 10.0
"""Seconds for one event, as over HTTP."""


@dataclass(frozen=True, slots=True)
class CommandConsumer:
    """What reads the commands of a topic."""

    stream: CommandStream
    brokers: KafkaSettings
    topics: StreamSettings
    left: trio.Event = field(default_factory=trio.Event)
    """Set when the group is left: nothing more is taken."""

    async def run(self, sagas: Sagas, stop: trio.Event) -> None:
        """Take commands until it is to stop."""
        try:
            await self._run(sagas, stop)
        finally:
            self.left.set()

    async def _run(self, sagas: Sagas, stop: trio.Event) -> None:
        from carillon.kafka.consumer import KafkaSource, Subscription  # noqa: PLC0415

        topics = self.topics
        subscription = Subscription(
            topics.commands_topic or "",
            topics.group_id,
            topics.start_at,
            topics.session_timeout,
        )
        source = KafkaSource(self.brokers.connection, subscription, self.stream)
        await self.stream.run(source, sagas.take, stop)

    async def check(self) -> None:
        """Raises TryLater when no commands can be read."""
        if self.stream.trouble is not None:
            raise TryLater(self.stream.trouble)

    @property
    def not_ready(self) -> str | None:
        """Why the service is not ready: only before it first has joined its group."""
        return None if self.stream.has_joined else "The group that reads commands is not joined yet"


def command_consumer(settings: Settings, observe: Observer) -> CommandConsumer | None:
    """What reads commands, where a topic is configured."""
    flow, brokers = settings.flow_manager, settings.kafka
    topics = None if flow is None else flow.stream
    if topics is None or topics.commands_topic is None or brokers is None:
        return None
    limits = settings.limits
    reader = RecordReader(topics.labels, limits.body_bytes, limits.values)
    return CommandConsumer(CommandStream(reader, observe), brokers, topics)


def event_topic(settings: Settings) -> FlowManager | None:
    """The events topic as a port for events, where one is configured. Close it at the end."""
    flow, brokers = settings.flow_manager, settings.kafka
    topic = None if flow is None or flow.stream is None else flow.stream.events_topic
    if topic is None or brokers is None:
        return None
    from carillon.sagas.kafka_events import KafkaEvents  # noqa: PLC0415

    return KafkaEvents(_producer(brokers, EVENT_TIMEOUT), topic)


def confirmations(settings: Settings, storage: Storage, observe: Observer) -> Confirmations | None:
    """The receiver of hooks; None if no provider that reports through hooks is used."""
    if not any(one.config.facts.reports_later for one in settings.providers.values()):
        return None
    return Confirmations(storage.handovers, storage.records, storage.journal, observe)


def _producer(brokers: KafkaSettings, timeout: float) -> KafkaProducer:
    """A producer that gives up a message after `timeout` seconds."""
    from carillon.kafka.producer import KafkaProducer  # noqa: PLC0415

    return KafkaProducer(brokers.connection, timeout)
