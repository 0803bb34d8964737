"""Tuning a running service: seen at the provider's socket, and from the file on disk."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from carillon.access.keys import draw_key
from carillon.messages.model import Document, JsonValue
from carillon.settings import ConfigurationFile, key_record
from tests.neighbours.http import Answer, Server, serve
from tests.running import SENDERS, Running, running

USERS: list[Document] = [
    {"_id": f"u{number:03}", "phoneNumber": f"+39333{number:05}", "clusters": ["all"]}
    for number in range(200)
]
SOON = 10.0


def document(url: str, order: JsonValue = None, **keys: JsonValue) -> Document:
    """Sms over the SMS service, and a backup that is the same server."""
    sections: Document = {
        "sms-service": {"url": url, **keys},
        "backup": {"type": "sms-service", "url": f"{url}/backup"},
    }
    return {
        "activeChannels": ["sms"],
        "sender": SENDERS,
        "channels": {"sms": {"providers": order or ["sms-service", "backup"]}},
        "providers": sections,
    }


@asynccontextmanager
async def tuned(
    folder: Path, provider: Server, **keys: JsonValue
) -> AsyncGenerator[tuple[Running, Path]]:
    """A service with its file on disk."""
    path = folder / "carillon.json"
    path.write_text(json.dumps(document(provider.url, **keys)))
    environ = {"STORE_URL": f"sqlite:///{folder / 'carillon.db'}"}
    file = ConfigurationFile(path, environ, every=0.02, settle=0.005)
    configuration = document(provider.url, **keys)
    async with running(folder, configuration, users=USERS, file=file) as service:
        yield service, path


async def send_all(service: Running) -> None:
    await service.send(channels=["sms"], clusters=["all"])


async def value(service: Running, key: str) -> JsonValue:
    shown = (await service.client.get("/providers/sms-service")).json()
    found: JsonValue = shown["settings"][key]["value"]
    return found


async def until_value(service: Running, key: str, wanted: JsonValue) -> None:
    with trio.fail_after(SOON):
        while await value(service, key) != wanted:
            await trio.sleep(0.01)


async def test_a_rate_that_is_raised_is_used_within_a_second(tmp_path: Path) -> None:
    slow: JsonValue = [{"limit": 5, "per": "1s"}]
    fast: Document = {"rate": [{"limit": 100, "per": "200ms"}]}
    async with serve(Answer()) as provider:
        async with tuned(tmp_path, provider, order=["sms-service"], rate=slow) as (service, _):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_all, service)
                await service.until(lambda: len(provider.requests) == 5)
                changed = await service.client.patch("/providers/sms-service", json=fast)
                assert changed.status_code == 200
                with trio.fail_after(1):
                    await service.until(lambda: len(provider.requests) >= 50)
    assert len(provider.requests) == 200


async def test_a_pause_starts_nothing_and_interrupts_nothing(tmp_path: Path) -> None:
    async with serve(Answer(delay=0.2)) as provider:
        async with tuned(tmp_path, provider, order=["sms-service"], concurrency=4) as (service, _):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_all, service)
                await service.until(lambda: len(provider.requests) == 4)
                await service.client.patch("/providers/sms-service", json={"paused": True})
                await trio.sleep(0.5)
                assert len(provider.requests) == 4
                shown = (await service.client.get("/providers/sms-service")).json()
                assert (shown["state"], shown["inFlight"]) == ("paused", 0)
                assert shown["waiting"]["why"] == "paused"
                assert shown["waiting"]["deliveries"] > 0
                faster = {"paused": None, "concurrency": 100}
                await service.client.patch("/providers/sms-service", json=faster)
    assert len(provider.requests) == 200
    assert {outcome for outcome, _ in service.outcomes().values()} == {"sent"}


async def test_a_paused_provider_leaves_its_channel_to_the_next(tmp_path: Path) -> None:
    async with serve(Answer()) as provider:
        async with tuned(tmp_path, provider) as (service, _):
            await service.client.patch("/providers/sms-service", json={"paused": True})
            await send_all(service)
    assert len(provider.requests) == 200
    assert all(request.path.startswith("/backup/") for request in provider.requests)


async def test_the_file_is_followed_when_it_changes(tmp_path: Path) -> None:
    async with serve(Answer()) as provider:
        async with tuned(tmp_path, provider) as (service, path):
            await service.client.patch("/providers/sms-service", json={"timeout": "5s"})
            keys: Document = {"concurrency": 3, "timeout": "9s"}
            path.write_text(json.dumps(document(provider.url, ["backup", "sms-service"], **keys)))
            await until_value(service, "concurrency", 3)
            assert await value(service, "timeout") == "5s"
            await send_all(service)
            entries = (await service.client.get("/audit?limit=2")).json()["entries"]
    assert all(request.path.startswith("/backup/") for request in provider.requests)
    assert [(one["who"], one["action"], one["provider"]) for one in entries] == [
        ("configuration file", "reload", None),
        ("configuration file", "reload", "sms-service"),
    ]
    assert entries[1]["after"] == {"concurrency": 3}


async def test_a_bad_file_is_refused_and_a_good_one_taken_again(tmp_path: Path) -> None:
    async with serve(Answer()) as provider:
        async with tuned(tmp_path, provider, concurrency=3) as (service, path):
            path.write_text(json.dumps(document(provider.url, concurrency=0)))
            with trio.fail_after(SOON):
                while (error := await error_of(service)) is None:
                    await trio.sleep(0.01)
            assert "providers.sms-service.concurrency: 0 is not allowed" in error
            assert await value(service, "concurrency") == 3
            path.write_text(json.dumps(document(provider.url, concurrency=4)))
            await until_value(service, "concurrency", 4)
            assert await error_of(service) is None
    errors = [line for line in service.log_lines if "is refused" in str(line["msg"])]
    assert len(errors) == 1


async def error_of(service: Running) -> str | None:
    status = (await service.client.get("/providers")).json()["configuration"]
    found: str | None = status["error"]
    return found


async def test_a_hangup_reads_the_file_again(tmp_path: Path) -> None:
    async with serve(Answer()) as provider:
        path = tmp_path / "carillon.json"
        path.write_text(json.dumps(document(provider.url)))
        never = ConfigurationFile(path, {}, every=3600.0)
        configuration = document(provider.url)
        async with running(tmp_path, configuration, file=never) as service:
            path.write_text(json.dumps(document(provider.url, concurrency=3)))
            os.kill(os.getpid(), signal.SIGHUP)
            await until_value(service, "concurrency", 3)
            [entry] = (await service.client.get("/audit")).json()["entries"]
    assert entry["who"] == "SIGHUP"


async def test_a_key_that_a_hangup_lets_in_stands_in_the_audit(tmp_path: Path) -> None:
    _, shop = draw_key("shop", ["read"])
    again, other = draw_key("shop-2", ["read"])
    keys, path = tmp_path / "keys.json", tmp_path / "carillon.json"
    keys.write_text(json.dumps([key_record(shop)]))
    async with serve(Answer()) as provider:
        path.write_text(json.dumps(document(provider.url)))
        environ = {"API_KEYS_FILE": str(keys), "SMS_SERVICE_URL": provider.url}
        never = ConfigurationFile(path, environ, every=3600.0)
        async with running(
            tmp_path, document(provider.url), environ=environ, file=never
        ) as service:
            keys.write_text(json.dumps([key_record(shop), key_record(other)]))
            os.kill(os.getpid(), signal.SIGHUP)
            await service.until(lambda: "was read again" in service.log.getvalue())
            shown = {"Authorization": f"Bearer {again}"}
            [entry] = (await service.client.get("/audit", headers=shown)).json()["entries"]
            told = [str(line["msg"]) for line in service.log_lines]
    assert (entry["who"], entry["action"]) == ("SIGHUP", "reload")
    assert entry["before"] == {"apiKeys.shop-2": None}
    assert entry["after"] == {"apiKeys.shop-2": "read"}
    [line] = [one for one in told if "was read again" in one]
    assert line.endswith("changed: apiKeys.shop-2 (let in)")


async def test_what_has_to_wait_for_the_next_start_is_named(tmp_path: Path) -> None:
    async with serve(Answer()) as provider:
        async with tuned(tmp_path, provider) as (service, path):
            path.write_text(json.dumps({**document(provider.url, concurrency=3), "drain": "1s"}))
            await until_value(service, "concurrency", 3)
            status = (await service.client.get("/providers")).json()["configuration"]
    assert status["atNextStart"] == ["drain"]
    told = [line for line in service.log_lines if "at the next start: drain" in str(line["msg"])]
    assert len(told) == 1
