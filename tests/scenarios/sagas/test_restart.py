"""The Flow Manager is away and the service is killed meanwhile: every event arrives even so."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import httpx
import trio

from carillon.messages.model import Document
from tests.neighbours.flow_manager import FlowManager
from tests.neighbours.http import Server
from tests.process import process
from tests.running import sandbox_configuration
from tests.scenarios.neighbourhood import listen
from tests.scenarios.sagas.saga_desk import PATHS, TEXT

SAGAS = [f"S-{number}" for number in range(5)]
ADA: Document = {"_id": "ada", "emailAddress": "ada@x.test", "phoneNumber": "+393331234567"}
EMAIL: Document = {"channels": "email", "recipients": "ada", **TEXT}
SLOW_SMS: Document = {"channels": "sms", "recipients": "ada", **TEXT}


def configuration(url: str) -> Document:
    whole = sandbox_configuration(
        drain="0s",
        flowManagerConfiguration={
            "serviceUrl": url,
            "successEventLabel": "done",
            "failEventLabel": "failed",
            "metadataSchema": PATHS,
            "respondWithin": "1s",
        },
    )
    providers = whole["providers"]
    assert isinstance(providers, dict)
    providers["sms-sandbox"] = {
        "type": "sandbox",
        "options": {"latency": "3s"},
        "onUnknownOutcome": "retry",
    }
    return whole


async def command(client: httpx.AsyncClient, key: str, payload: Document) -> int:
    value: Document = {"messageLabel": "tell", "messagePayload": payload}
    answer = await client.post("/saga/send", json={"key": key, "value": value})
    return answer.status_code


async def saga(client: httpx.AsyncClient, key: str) -> None:
    """One command that is carried out, one that is refused, one that takes too long."""
    assert await command(client, key, EMAIL) == 200
    assert await command(client, key, {}) == 400
    assert await command(client, key, SLOW_SMS) == 200


async def until_told(flow_manager: FlowManager, events: int) -> None:
    with trio.fail_after(20):
        while sum(len(flow_manager.labels(key)) for key in SAGAS) < events:
            await trio.sleep(0.05)


async def test_every_event_arrives_once_or_as_a_repeat_and_in_order(tmp_path: Path) -> None:
    flow_manager = FlowManager(is_down=True)
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(partial(listen, flow_manager))
        document = configuration(server.url)
        async with process(tmp_path, document, [ADA]) as (it, url):
            async with httpx.AsyncClient(base_url=url, timeout=20) as client:
                async with trio.open_nursery() as sagas:
                    for key in SAGAS:
                        sagas.start_soon(saga, client, key)
            it.kill()
            await it.wait()
        assert flow_manager.events == []
        flow_manager.is_down = False
        async with process(tmp_path, document):
            await until_told(flow_manager, 3 * len(SAGAS))
        nursery.cancel_scope.cancel()
    for key in SAGAS:
        assert flow_manager.labels(key) == ["done", "failed", "done"]
    contents = {one.idempotency_key: one for one in flow_manager.events}
    assert all(contents[one.idempotency_key] == one for one in flow_manager.events)


async def test_a_service_that_is_told_to_stop_leaves_its_events_to_the_next(
    tmp_path: Path,
) -> None:
    flow_manager = FlowManager(is_down=True)
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(partial(listen, flow_manager))
        document = configuration(server.url)
        async with process(tmp_path, document, [ADA]) as (it, url):
            async with httpx.AsyncClient(base_url=url, timeout=20) as client:
                assert await command(client, SAGAS[0], EMAIL) == 200
                assert await command(client, SAGAS[0], SLOW_SMS) == 200
            it.terminate()
            with trio.fail_after(10):
                assert await it.wait() == 0
        flow_manager.is_down = False
        async with process(tmp_path, document):
            await until_told(flow_manager, 2)
        nursery.cancel_scope.cancel()
    assert flow_manager.labels(SAGAS[0]) == ["done", "done"]


async def test_who_waits_for_an_event_is_answered_when_the_service_stops(tmp_path: Path) -> None:
    flow_manager = FlowManager(is_down=True)
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(partial(listen, flow_manager))
        document = configuration(server.url)
        section = document["flowManagerConfiguration"]
        assert isinstance(section, dict)
        section["respondWithin"] = 0
        async with process(tmp_path, document, [ADA]) as (it, url):
            async with httpx.AsyncClient(base_url=url, timeout=20) as client:

                async def terminate_soon() -> None:
                    await trio.sleep(0.3)
                    it.terminate()

                async with trio.open_nursery() as both:
                    both.start_soon(terminate_soon)
                    assert await command(client, SAGAS[0], EMAIL) == 200
            with trio.fail_after(5):
                assert await it.wait() == 0
        nursery.cancel_scope.cancel()
