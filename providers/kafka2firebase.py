"""Kafka2Firebase of Mia-Platform: a notification is a record that it reads and hands to Firebase.

Contract: Kafka2Firebase 1.2 (contracts 1.4). The record is keyed by the user, and `message_id` is
the delivery's id, so that its hooks can tell which one they mean and a repeat can be told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal

from pydantic.json_schema import SkipJsonSchema

from carillon.http_client.ports import Started
from carillon.kafka.reports import NotStored, Stored
from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import (
    Accepted,
    Attempt,
    Cause,
    Delivery,
    Document,
    FailureKind,
    JsonValue,
    PushContent,
    Refused,
    Unanswered,
    Unavailable,
)
from carillon.messages.ports.handovers import Handover, Handovers
from carillon.providers.config import (
    BuildContext,
    Facts,
    ProviderConfig,
    Variable,
    needed,
    of_type,
)
from carillon.providers.encoding import json_body
from carillon.providers.ports import Provider

if TYPE_CHECKING:
    from carillon.kafka.producer import KafkaProducer

SERVICE: Final = "kafka2firebase"
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")


def _topics(text: str) -> tuple[str, ...]:
    names = tuple(name for part in text.split(",") if (name := part.strip()))
    if not names or not all(map(_TOPIC.fullmatch, names)):
        raise ValueError("a list of names of topics, with commas between them")
    return names


class Kafka2FirebaseConfig(ProviderConfig):
    """Kafka2Firebase of Mia-Platform, over a topic."""

    facts = Facts(
        channels=("push",),
        on_unknown_outcome="retry",
        switches=(
            Variable(
                "KAFKA_2_FIREBASE_SERVICE_NAME",
                "push goes through Kafka; its value is not used",
                str,
            ),
        ),
        connects=False,
        uses_kafka=True,
        reports_later=True,
        absent={"url": "KAFKA_BROKERS says where Kafka is"},
    )

    type: Literal["kafka2firebase"] = of_type("kafka2firebase")
    topics: SkipJsonSchema[tuple[str, ...]] = needed(
        (),
        Variable("KAFKA_TOPICS", "push goes through Kafka, to the first of these topics", _topics),
        description="Where notifications are produced.",
        in_file=False,
    )

    def build(self, context: BuildContext) -> Provider:
        """See `ProviderConfig`."""
        if context.kafka is None:
            raise ValueError("type: kafka2firebase needs KAFKA_BROKERS")
        from carillon.kafka.producer import KafkaProducer  # noqa: PLC0415 - needs the extra

        producer = KafkaProducer(context.kafka, self.timeout)
        action = context.android_intent_action
        return Kafka2Firebase(producer, self.topics[0], context.handovers, context.name, action)

    def warnings(self) -> Iterable[str]:
        """Whether there are topics that are not used."""
        if len(self.topics) > 1:
            yield (
                f"KAFKA_TOPICS names {len(self.topics)} topics; a notification is produced to the "
                f'first one only ("{self.topics[0]}"), so that nobody gets it twice'
            )


class Kafka2Firebase:
    """Produces one record a notification.

    What is handed over is kept first under this provider's `name`, so that hooks find it.
    `click_action` is the reference's `androidIntentAction`; empty, it is left out.
    """

    def __init__(
        self,
        producer: KafkaProducer,
        topic: str,
        handovers: Handovers,
        name: str = SERVICE,
        click_action: str = "",
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._handovers = handovers
        self._name = name
        self._click_action = click_action

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        """Produce a notification. The cluster's report is the only sign that it was taken."""
        content = delivery.content
        if not isinstance(content, PushContent):
            raise TypeError("Kafka2Firebase carries push notifications only")
        problem = await self._producer.problem(self._topic)
        if problem is not None:
            return Unavailable(f"{SERVICE}: {problem.error}", cause=_cause(problem.kind))
        try:
            await self._handovers.add(_handover(delivery, self._name))
        except JournalUnavailable as broken:
            return Unavailable(f"{SERVICE}: {broken}", cause=Cause("own-limit"))
        body = json_body(push_message(delivery, content, self._click_action))
        started()
        report = await self._producer.produce(self._topic, delivery.user_id, body)
        if isinstance(report, Stored):
            return Accepted(report.place)
        error, cause = f"{SERVICE}: {report.error}", _cause(report.kind)
        if not isinstance(report, NotStored):
            return Unanswered(error, cause)
        return Refused(error) if report.refused else Unavailable(error, cause=cause)

    def serialize_by(self, delivery: Delivery) -> str | None:
        """Any deliveries may be under way at once."""
        return None

    async def reach(self) -> str | None:
        """See `Reachable`."""
        problem = await self._producer.problem(self._topic)
        return None if problem is None else f"{SERVICE}: {problem.error}"

    async def aclose(self) -> None:
        """End the producer."""
        await self._producer.aclose()


def _cause(kind: FailureKind | None) -> Cause | None:
    return None if kind is None else Cause(kind)


def _handover(delivery: Delivery, name: str) -> Handover:
    return Handover(
        delivery.id,
        delivery.dispatch_id,
        delivery.channel,
        name,
        delivery.key,
        delivery.user_id,
    )


def push_message(delivery: Delivery, content: PushContent, click_action: str = "") -> Document:
    """The value of a record: every field of the contract, absent texts as empty ones."""
    notification: Document = {
        "title": content.title or "",
        "subtitle": content.subtitle or "",
        "message": content.message or "",
    }
    android = _android(content.android, click_action)
    if android is not None:
        notification["android"] = android
    if content.apns is not None:
        notification["apns"] = content.apns
    tokens: list[JsonValue] = [delivery.address]
    return {
        "device_tokens": tokens,
        "topics": [],
        "message_id": delivery.id,
        "push_notification": notification,
        "payload": None,
    }


def _android(given: Document | None, click_action: str) -> Document | None:
    """What `pushData` says, with the click action where it names none."""
    if not click_action:
        return given
    shown = (given or {}).get("notification")
    theirs = shown if isinstance(shown, dict) else {}
    if "click_action" in theirs or "clickAction" in theirs:
        return given
    return {**(given or {}), "notification": {**theirs, "click_action": click_action}}
