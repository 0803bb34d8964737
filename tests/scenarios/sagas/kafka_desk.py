"""Commands and events over Kafka: the configuration, what is written, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import httpx
import trio

from carillon.messages.events import SagaCommandRead
from carillon.messages.model import Document, JsonValue
from tests.neighbours.kafka import Cluster, Raw
from tests.running import Running, sandbox_configuration
from tests.scenarios.neighbourhood import ADA_ID

COMMANDS: Final = "commands"
EVENTS: Final = "events"
PAYLOAD: Final[Document] = {"channels": "sms", "recipients": ADA_ID, "title": "T", "content": "C"}


def flow(**kafka: JsonValue) -> Document:
    """The section `flowManagerConfiguration`; a dead member is noticed soon."""
    return {
        "successEventLabel": "done",
        "failEventLabel": "failed",
        "metadataSchema": {
            "channels": "channels",
            "recipients": "recipients",
            "messageTitle": "title",
            "messageContent": "content",
        },
        "kafka": {
            "commandsTopic": COMMANDS,
            "eventsTopic": EVENTS,
            "startAt": "earliest",
            "sessionTimeout": "6s",
            **kafka,
        },
    }


def configuration(changes: Document | None = None, **kafka: JsonValue) -> Document:
    """Sandboxes, and commands from a topic."""
    return sandbox_configuration(**{"flowManagerConfiguration": flow(**kafka), **(changes or {})})


def command(payload: JsonValue = PAYLOAD, label: str = "tell") -> str:
    """The value of a record."""
    return json.dumps({"messageLabel": label, "messagePayload": payload})


def for_saga(key: str) -> tuple[str, str]:
    """A command whose message names its saga."""
    return key, command({**PAYLOAD, "content": key})


def told(records: Sequence[Raw]) -> list[tuple[str, str, JsonValue]]:
    """Saga, label and payload of events; each is checked to hold nothing else."""
    found: list[tuple[str, str, JsonValue]] = []
    for record in records:
        value = json.loads(record.value() or b"")
        assert list(value) == ["messageLabel", "messagePayload"]
        key = (record.key() or b"").decode()
        found.append((key, value["messageLabel"], value["messagePayload"]))
    return sorted(found, key=str)


def event_ids(records: Sequence[Raw]) -> list[str]:
    """What tells an event from another one."""
    found = [dict(record.headers() or [])["idempotency-key"] for record in records]
    return [one.decode() if isinstance(one, bytes) else str(one) for one in found]


async def events(brokers: Cluster, count: int, seconds: float = 20.0) -> list[Raw]:
    """The events that stand in the topic: at least so many, or all within the time."""
    return await trio.to_thread.run_sync(brokers.read, EVENTS, count, seconds)


async def once_each(brokers: Cluster, *keys: str, seconds: float = 60.0) -> dict[str, list[str]]:
    """The labels that each saga was told, once these were: what repeats an event counts once.

    An event stands there twice when its report was lost: its id tells.
    """
    until = trio.current_time() + seconds
    while True:
        found = await events(brokers, 0, 1)
        distinct = dict(zip(event_ids(found), found, strict=True))
        labels: dict[str, list[str]] = {}
        for key, label, _ in told([*distinct.values()]):
            labels.setdefault(key, []).append(label)
        if set(labels) >= set(keys) or trio.current_time() > until:
            return labels
        await trio.sleep(0.2)


async def until_ready(client: httpx.AsyncClient) -> None:
    """Wait until the group is joined."""
    with trio.fail_after(30):
        while (await client.get("/-/ready")).status_code != 200:
            await trio.sleep(0.05)


def results(service: Running) -> list[tuple[str, str]]:
    """What came of each record, and why it was skipped."""
    read = [event for event in service.events if isinstance(event, SagaCommandRead)]
    return sorted((one.result, one.reason) for one in read)
