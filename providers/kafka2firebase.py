"""Kafka2Firebase of Mia-Platform: a notification is a record that it reads and hands to Firebase.

Contract: Kafka2Firebase 1.2 (contracts 1.4). The record is keyed by the user, and `message_id` is
the delivery's id, so that its hooks can tell which one they mean and a repeat can be told.
"""

from __future__ import annotations

from typing import Final

from carillon.http_client.ports import Started
from carillon.kafka.producer import KafkaProducer, NotStored, Stored
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
from carillon.providers.encoding import json_body

SERVICE: Final = "kafka2firebase"


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
