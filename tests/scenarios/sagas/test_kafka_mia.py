"""Mia-Platform's own client, which nobody here wrote, at both ends of the topics."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from tests.neighbours.kafka import Cluster
from tests.neighbours.mia_client import mia_client
from tests.running import running
from tests.scenarios.neighbourhood import ADA, ADA_ID
from tests.scenarios.sagas.kafka_desk import (
    COMMANDS,
    EVENTS,
    PAYLOAD,
    configuration,
    results,
    until_ready,
)

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "saga_command.py"


async def test_it_sends_commands_that_are_carried_out_and_receives_the_events(
    tmp_path: Path, brokers: Cluster
) -> None:
    environ = {"KAFKA_BROKERS": brokers.bootstrap}
    whole = configuration(labels=["notifyBuyer"])
    async with (
        mia_client(brokers, EVENTS, COMMANDS, "done", "failed") as flow_manager,
        running(tmp_path, whole, users=[ADA], environ=environ) as service,
    ):
        await until_ready(service.client)
        await flow_manager.emit("ORD-1", "notifyBuyer", PAYLOAD)
        await flow_manager.emit("ORD-2", "notifyBuyer", {"channels": "pigeon"})
        await flow_manager.emit("ORD-3", "somebodyElses", PAYLOAD)
        await flow_manager.until(lambda received: len(received) == 2)
        await service.until(lambda: len(results(service)) == 3)
    assert sorted(flow_manager.received, key=str) == [
        ("ORD-1", "done", {}),
        ("ORD-2", "failed", {}),
    ]
    assert [one.user_id for one in service.sent] == [ADA_ID]
    assert results(service) == [("accepted", ""), ("refused", ""), ("skipped", "other-label")]


async def test_what_a_summary_holds_reaches_its_user_whole(
    tmp_path: Path, brokers: Cluster
) -> None:
    environ = {"KAFKA_BROKERS": brokers.bootstrap}
    whole = configuration()
    flow = whole["flowManagerConfiguration"]
    assert isinstance(flow, dict)
    flow["eventPayload"] = "summary"
    async with (
        mia_client(brokers, EVENTS, COMMANDS, "done") as flow_manager,
        running(tmp_path, whole, users=[ADA], environ=environ),
    ):
        await flow_manager.emit("ÖRD-1 €", "tell", PAYLOAD)
        await flow_manager.until(lambda received: len(received) == 1)
    ((key, label, payload),) = flow_manager.received
    assert (key, label) == ("ÖRD-1 €", "done")
    assert isinstance(payload, dict)
    summary = payload["carillon"]
    assert isinstance(summary, dict)
    assert summary["counts"] == {"sent": 1}


async def test_as_an_executor_it_understands_what_the_example_producer_writes(
    brokers: Cluster,
) -> None:
    async with mia_client(brokers, COMMANDS, EVENTS, "notifyBuyer") as executor:
        said = await trio.run_process(
            [
                *(sys.executable, str(EXAMPLE), brokers.bootstrap, COMMANDS),
                *("ORD-42", "notifyBuyer", '{"buyer": {"name": "Zoë"}, "total": 12.5}'),
            ],
            capture_stdout=True,
        )
        await executor.until(lambda received: len(received) == 1)
    assert said.stdout.decode().startswith(f"written to {COMMANDS}/")
    assert executor.received == [
        ("ORD-42", "notifyBuyer", {"buyer": {"name": "Zoë"}, "total": 12.5})
    ]
