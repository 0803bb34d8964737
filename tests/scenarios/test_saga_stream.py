"""Commands from a topic of Kafka and events to another, on librdkafka's mock cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import trio

from messages.events import SagaCommandRead
from messages.model import Document, JsonValue
from tests.neighbours.kafka import Cluster, Raw, cluster
from tests.running import Running, running, sandbox_configuration
from tests.scenarios.neighbourhood import ADA, ADA_ID

COMMANDS, EVENTS = "commands", "events"
PAYLOAD: Document = {"channels": "sms", "recipients": ADA_ID, "title": "T", "content": "C"}


@pytest.fixture
def brokers() -> Iterator[Cluster]:
    with cluster() as made:
        made.create(COMMANDS)
        made.create(EVENTS)
        yield made


def flow(**kafka: JsonValue) -> Document:
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


def configuration(**kafka: JsonValue) -> Document:
    return sandbox_configuration(flowManagerConfiguration=flow(**kafka))


def command(payload: JsonValue = PAYLOAD, label: str = "tell") -> str:
    return json.dumps({"messageLabel": label, "messagePayload": payload})


def told(records: Sequence[Raw]) -> list[tuple[str, str, JsonValue]]:
    found: list[tuple[str, str, JsonValue]] = []
    for record in records:
        value = json.loads(record.value() or b"")
        assert list(value) == ["messageLabel", "messagePayload"]
        found.append(
            ((record.key() or b"").decode(), value["messageLabel"], value["messagePayload"])
        )
    return sorted(found, key=str)


async def ready(service: Running) -> None:
    with trio.fail_after(20):
        while (await service.client.get("/-/ready")).status_code != 200:
            await trio.sleep(0.05)


def results(service: Running) -> list[tuple[str, str]]:
    read = [event for event in service.events if isinstance(event, SagaCommandRead)]
    return sorted((one.result, one.reason) for one in read)


async def test_commands_are_carried_out_and_their_sagas_told(
    tmp_path: Path, brokers: Cluster
) -> None:
    brokers.produce(COMMANDS, ("S-1", command()), ("S-2", command({"channels": "pigeon"})))
    surroundings = {"KAFKA_BROKERS": brokers.bootstrap}
    async with running(tmp_path, configuration(), users=[ADA], environ=surroundings) as service:
        await ready(service)
        await service.until(lambda: len(results(service)) == 2, 20)
        found = await trio.to_thread.run_sync(brokers.read, EVENTS, 2)
    assert told(found) == [("S-1", "done", {}), ("S-2", "failed", {})]
    assert results(service) == [("accepted", ""), ("refused", "")]
    assert [one.user_id for one in service.sent] == [ADA_ID]
    assert sum(brokers.committed(COMMANDS).values()) == 2
