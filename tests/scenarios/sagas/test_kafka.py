"""Commands from a topic of Kafka and events to another, on librdkafka's mock cluster."""

from __future__ import annotations

from pathlib import Path

import trio

from carillon.messages.model import Document, JsonValue
from tests.neighbours.kafka import Cluster
from tests.running import running
from tests.scenarios.neighbourhood import ADA, ADA_ID
from tests.scenarios.sagas.kafka_desk import (
    COMMANDS,
    PAYLOAD,
    command,
    configuration,
    event_ids,
    events,
    flow,
    for_saga,
    results,
    told,
    until_ready,
)
from tests.scenarios.sagas.saga_desk import saga_desk


async def test_commands_are_carried_out_and_their_sagas_told(
    tmp_path: Path, brokers: Cluster
) -> None:
    brokers.produce(COMMANDS, ("S-1", command()), ("S-2", command({"channels": "pigeon"})))
    environ = {"KAFKA_BROKERS": brokers.bootstrap}
    async with running(tmp_path, configuration(), users=[ADA], environ=environ) as service:
        await until_ready(service.client)
        await service.until(lambda: len(results(service)) == 2, 20)
        found = await events(brokers, 2)
        counted = (await service.client.get("/-/metrics")).text
        checked = (await service.client.get("/-/check-up")).json()
    assert told(found) == [("S-1", "done", {}), ("S-2", "failed", {})]
    assert len(set(event_ids(found))) == 2
    assert results(service) == [("accepted", ""), ("refused", "")]
    assert [one.user_id for one in service.sent] == [ADA_ID]
    assert sum(brokers.committed(COMMANDS).values()) == 2
    assert 'carillon_saga_commands_total{reason="none",result="accepted"} 1.0' in counted
    assert checked["neighbours"]["kafka"] == "OK"


async def test_it_is_ready_once_its_group_is_joined(tmp_path: Path, brokers: Cluster) -> None:
    environ = {"KAFKA_BROKERS": brokers.bootstrap}
    async with running(tmp_path, configuration(), environ=environ) as service:
        first = await service.client.get("/-/ready")
        await until_ready(service.client)
    assert first.status_code == 503
    assert first.json()["message"] == "The group that reads commands is not joined yet"


async def test_what_is_no_command_is_skipped_and_the_rest_goes_on(
    tmp_path: Path, brokers: Cluster
) -> None:
    poison = [
        (None, command()),
        (b"\xff", command()),
        ("S-0", "{secret-text"),
        ("S-0", '{"payload": "secret-text"}'),
        ("S-0", command(label="notOurs")),
        ("S-0", f'"{"x" * 3_000_000}"'),
        ("S-0", None),
    ]
    brokers.produce(COMMANDS, *poison, ("S-1", command()), partition=0)
    environ = {"KAFKA_BROKERS": brokers.bootstrap}
    whole = configuration({"limits": {"bodyBytes": 1_000_000}}, labels=["tell"])
    async with running(tmp_path, whole, users=[ADA], environ=environ) as service:
        await service.until(lambda: len(results(service)) == 8, 20)
        found = await events(brokers, 1)
    assert told(found) == [("S-1", "done", {})]
    assert results(service) == [
        ("accepted", ""),
        ("skipped", "no-key"),
        ("skipped", "no-key"),
        ("skipped", "no-label"),
        ("skipped", "not-json"),
        ("skipped", "not-json"),
        ("skipped", "other-label"),
        ("skipped", "too-large"),
    ]
    assert brokers.committed(COMMANDS)[0] == 8
    log = service.log.getvalue()
    assert '"commands/0/2"' in log
    assert "secret-text" not in log


async def test_commands_of_wrong_shapes_are_refused_and_their_sagas_told(
    tmp_path: Path, brokers: Cluster
) -> None:
    payloads: list[JsonValue] = [
        None,
        [],
        "text",
        {"channels": "sms"},
        {"__proto__": {"channels": "sms"}},
        {**PAYLOAD, "recipients": {"a": [[[[1]]]]}},
    ]
    commands = [(f"S-{number}", command(one)) for number, one in enumerate(payloads)]
    brokers.produce(COMMANDS, *commands, ("S-9", '{"messageLabel": "tell"}'))
    environ = {"KAFKA_BROKERS": brokers.bootstrap}
    async with running(tmp_path, configuration(), users=[ADA], environ=environ) as service:
        found = await events(brokers, 7)
    assert told(found) == [(f"S-{number}", "failed", {}) for number in (0, 1, 2, 3, 4, 5, 9)]
    assert service.sent == []


async def test_while_too_much_is_open_commands_wait_and_none_is_refused(
    tmp_path: Path, brokers: Cluster
) -> None:
    sagas = [f"S-{number:02}" for number in range(30)]
    brokers.produce(COMMANDS, *map(for_saga, sagas))
    whole = configuration({"limits": {"openDispatches": 2}})
    providers = whole["providers"]
    assert isinstance(providers, dict)
    providers["sms-sandbox"] = {"type": "sandbox", "options": {"latency": "50ms"}}
    environ = {"KAFKA_BROKERS": brokers.bootstrap}
    async with running(tmp_path, whole, users=[ADA], environ=environ) as service:
        found = await events(brokers, 30, 60)
    assert told(found) == [(key, "done", {}) for key in sagas]
    assert len(service.sent) == 30
    assert "Too many dispatches are open" in service.log.getvalue()


async def test_commands_wait_for_a_directory_that_is_away(tmp_path: Path, brokers: Cluster) -> None:
    environ: Document = {"KAFKA_BROKERS": brokers.bootstrap}
    section: Document = {"serviceUrl": None, **flow()}
    async with saga_desk(tmp_path, flow=section, environ=environ) as at:
        at.around.crud.is_down = lambda: True
        await trio.to_thread.run_sync(brokers.produce, COMMANDS, ("S-1", command()))
        await at.around.service.until(lambda: at.around.crud.lists, 20)
        await trio.sleep(1)
        assert at.around.silent
        at.around.crud.is_down = lambda: False
        found = await events(brokers, 1)
        assert len(at.around.calls("sms")) == 1
    assert told(found) == [("S-1", "done", {})]


async def test_a_group_that_never_read_begins_at_the_end_and_misses_nothing_from_then_on(
    tmp_path: Path, brokers: Cluster
) -> None:
    brokers.produce(COMMANDS, for_saga("old"))
    environ = {"KAFKA_BROKERS": brokers.bootstrap}
    whole = configuration(startAt="latest")
    async with running(tmp_path, whole, users=[ADA], environ=environ) as service:
        await until_ready(service.client)
    await trio.to_thread.run_sync(brokers.produce, COMMANDS, for_saga("while it was down"))
    async with running(tmp_path, whole, environ=environ):
        found = await events(brokers, 1)
    assert told(found) == [("while it was down", "done", {})]


async def test_within_the_window_a_repeated_command_is_told_again_and_not_sent_again(
    tmp_path: Path, brokers: Cluster
) -> None:
    environ = {"KAFKA_BROKERS": brokers.bootstrap}
    whole = configuration({"flowManagerConfiguration": {**flow(), "repeatWindow": "5m"}})
    brokers.produce(COMMANDS, ("S-1", command()), ("S-1", command()))
    async with running(tmp_path, whole, users=[ADA], environ=environ) as service:
        await service.until(lambda: len(results(service)) == 2, 20)
        found = await events(brokers, 2, 3)
    assert results(service) == [("accepted", ""), ("repeated", "")]
    assert len(service.sent) == 1
    assert len(set(event_ids(found))) == 1
    assert {(key, label) for key, label, _ in told(found)} == {("S-1", "done")}


async def test_events_of_commands_over_http_go_to_the_topic(
    tmp_path: Path, brokers: Cluster
) -> None:
    environ = {"KAFKA_BROKERS": brokers.bootstrap}
    whole = configuration(commandsTopic=None)
    body = {"key": "S-1", "value": {"messageLabel": "tell", "messagePayload": PAYLOAD}}
    async with running(tmp_path, whole, users=[ADA], environ=environ) as service:
        assert (await service.client.get("/-/ready")).status_code == 200
        answer = await service.client.post("/saga/send", json=body)
        assert answer.status_code == 200
        found = await events(brokers, 1, 0.1)
    assert told(found) == [("S-1", "done", {})]
