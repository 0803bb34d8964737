"""Brokers that go and come back, a service that is killed, a group that is shared anew."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import httpx
import trio

from carillon.messages.events import SagaEventTried
from carillon.messages.model import Document, TextContent
from tests.neighbours.http import Server
from tests.neighbours.kafka import Cluster, cluster
from tests.neighbours.kafka_process import cluster_process
from tests.neighbours.sms_service import SmsService
from tests.neighbours.tansu import tansu
from tests.process import process
from tests.running import Running, running
from tests.scenarios.neighbourhood import ADA, listen
from tests.scenarios.sagas.kafka_desk import (
    COMMANDS,
    EVENTS,
    command,
    configuration,
    events,
    flow,
    for_saga,
    once_each,
    results,
    told,
    until_ready,
)


async def produce(brokers: Cluster, *keys: str) -> None:
    """Write a command for each saga; its message is the saga's id."""
    await trio.to_thread.run_sync(brokers.produce, COMMANDS, *map(for_saga, keys))


async def test_brokers_that_fall_silent_cost_nothing(tmp_path: Path) -> None:
    with cluster_process(COMMANDS, EVENTS) as brokers:
        environ = {"KAFKA_BROKERS": brokers.bootstrap}
        async with running(tmp_path, configuration(), users=[ADA], environ=environ) as service:
            await until_ready(service.client)
            await produce(brokers, "before")
            await service.until(lambda: len(service.sent) == 1, 20)
            await events(brokers, 1)
            brokers.freeze()
            body = {"key": "meanwhile", "value": {"messageLabel": "x", "messagePayload": None}}
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(service.client.post, "/saga/send", json=body))
                await trio.sleep(12)  # longer than one event may take
                assert (await service.client.get("/-/healthz")).status_code == 200
                waiting = (await service.client.get("/events?state=pending")).json()["events"]
                assert [one["key"] for one in waiting] == ["meanwhile"]
                brokers.thaw()
            await produce(brokers, "after")
            labels = await once_each(brokers, "before", "meanwhile", "after")
    assert labels == {"before": ["done"], "meanwhile": ["failed"], "after": ["done"]}
    assert len(service.sent) == 2


async def test_events_outlive_a_broker_that_dies_and_comes_back_empty(tmp_path: Path) -> None:
    keys = [f"S-{number}" for number in range(5)]
    whole = configuration()
    providers = whole["providers"]
    assert isinstance(providers, dict)
    providers["sms-sandbox"] = {"type": "sandbox", "options": {"latency": "2s"}}
    with tansu(COMMANDS, EVENTS) as broker:
        environ = {"KAFKA_BROKERS": broker.cluster.bootstrap}
        async with running(tmp_path, whole, users=[ADA], environ=environ) as service:
            await until_ready(service.client)
            await produce(broker.cluster, *keys)
            await service.until(lambda: len(results(service)) == 5, 20)
            broker.kill()
            await service.until(lambda: len(service.sent) == 5, 20)
            await trio.sleep(2)
            checked = await service.client.get("/-/check-up")
            waiting = (await service.client.get("/events?state=pending")).json()["events"]
            assert (await service.client.get("/-/ready")).status_code == 200
            await trio.to_thread.run_sync(broker.start)
            await service.until(lambda: len(stored(service)) == 5, 60)
            await produce(broker.cluster, "later")
            await service.until(lambda: len(stored(service)) == 6, 60)
            assert (await service.client.get("/events?state=pending")).json()["events"] == []
    assert sorted(one["key"] for one in waiting) == keys
    assert checked.status_code == 503
    assert checked.json()["neighbours"]["kafka"] != "OK"
    assert len(set(stored(service))) == 6
    assert len(service.sent) == 6


def with_sms(**changes: object) -> Document:
    """One call at a time, so that a kill leaves at most one of them in doubt."""
    return {
        "activeChannels": ["sms"],
        "sender": {"sms": "Shop"},
        "providers": {"sms-service": {"concurrency": 1}},
        "flowManagerConfiguration": flow(),
        **changes,  # type: ignore[dict-item]  # JSON, as the callers write it
    }


async def test_a_service_that_is_killed_loses_nothing_and_sends_nothing_twice(
    tmp_path: Path,
) -> None:
    keys = [f"S-{number:03}" for number in range(60)]
    sms = SmsService()
    with cluster() as brokers:
        brokers.create(COMMANDS)
        brokers.create(EVENTS)
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(partial(listen, sms))
            environ = {"KAFKA_BROKERS": brokers.bootstrap, "SMS_SERVICE_URL": server.url}
            async with process(tmp_path, with_sms(), [ADA], **environ) as (it, url):
                async with httpx.AsyncClient(base_url=url) as client:
                    await until_ready(client)
                for part in (keys[:20], keys[20:40]):
                    await produce(brokers, *part)
                with trio.fail_after(20):
                    while len(sms.messages) < 10:
                        await trio.sleep(0.002)
                it.kill()
                await it.wait()
            killed_at = len(sms.messages)
            await produce(brokers, *keys[40:], "last")
            async with process(tmp_path, with_sms(), (), **environ):
                labels = await once_each(brokers, *keys, "last")
            nursery.cancel_scope.cancel()
    sent = Counter(one.body for one in sms.messages)
    assert killed_at < 40
    assert [key for key, number in sent.items() if number > 1] == []
    assert len(set(keys) - set(sent)) <= 1  # the call that was open is in doubt, not repeated
    assert labels == {key: ["done"] for key in [*keys, "last"]}


async def test_a_refusal_is_told_once_though_its_command_comes_again(tmp_path: Path) -> None:
    with cluster() as brokers:
        brokers.create(COMMANDS)
        brokers.create(EVENTS)
        bad = ("S-1", command({"channels": "pigeon"}))
        brokers.produce(COMMANDS, bad, ("S-1", command()), partition=0)
        environ = {"KAFKA_BROKERS": brokers.bootstrap}
        async with running(tmp_path, configuration(), users=[ADA], environ=environ) as service:
            await service.until(lambda: len(results(service)) == 2, 20)
            await events(brokers, 2)
        # Another group has committed nothing: every record is delivered again.
        whole = configuration(groupId="another")
        async with running(tmp_path, whole, environ=environ) as again:
            await again.until(lambda: len(results(again)) == 2, 20)
            found = await events(brokers, 3, 3)
    assert results(again) == [("repeated", ""), ("repeated", "")]
    assert told(found) == [("S-1", "done", {}), ("S-1", "failed", {})]
    assert (len(service.sent), again.sent) == (1, [])


async def test_a_group_that_is_shared_anew_does_no_work_twice(tmp_path: Path) -> None:
    keys = [f"S-{number:03}" for number in range(120)]
    first_home, second_home = tmp_path / "1", tmp_path / "2"
    first_home.mkdir()
    second_home.mkdir()
    with tansu(COMMANDS, EVENTS) as broker:
        brokers = broker.cluster
        environ = {"KAFKA_BROKERS": brokers.bootstrap}
        whole = configuration()
        async with running(first_home, whole, users=[ADA], environ=environ) as first:
            await until_ready(first.client)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trickle, brokers, keys)
                async with running(second_home, whole, users=[ADA], environ=environ) as second:
                    await until_ready(second.client)
                    await second.until(lambda: len(second.sent) >= 10, 30)
            async with running(second_home, whole, environ=environ) as again:
                # Those that it left to its next start too.
                await again.until(lambda: len(stored(first, second, again)) == 120, 60)
    content = [one.content for member in (first, second, again) for one in member.sent]
    sent = Counter(one.text for one in content if isinstance(one, TextContent))
    assert sorted(sent) == keys
    assert {*sent.values()} == {1}
    assert len(set(stored(first, second, again))) == 120


def stored(*services: Running) -> list[str]:
    """The ids of the events that a broker has said it has.

    Tansu is not asked for them: of records that several producers wrote at once it gives some
    twice and others not, and other ones each time.
    """
    tried = [one for service in services for one in service.events]
    return [
        one.event_id
        for one in tried
        if isinstance(one, SagaEventTried) and one.result == "accepted"
    ]


async def trickle(brokers: Cluster, keys: list[str]) -> None:
    """Commands over some ten seconds, in which members come and go."""
    for at in range(0, len(keys), 4):
        await produce(brokers, *keys[at : at + 4])
        await trio.sleep(0.3)
