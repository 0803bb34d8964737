"""A caller with many dispatches holds up no other: over HTTP, over a restart, at the edge."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import httpx
import trio

from carillon.access.keys import draw_key
from carillon.messages.model import Document
from carillon.settings import key_record
from tests.running import Running, running, sandbox_configuration

A, A_KEY = draw_key("a", ["send", "read", "operate"])
B, B_KEY = draw_key("b", ["send"])
ENVIRON = {"API_KEYS": json.dumps([key_record(A_KEY), key_record(B_KEY)])}
USERS: list[Document] = [
    {"_id": f"u{at}", "phoneNumber": f"+3933312{at:04}7", "clusters": ["all"]} for at in range(10)
]


def one_at_a_time(latency: str = "10ms", **changes: object) -> Document:
    configuration = sandbox_configuration(**changes)  # type: ignore[arg-type]
    options: Document = {"latency": latency}
    providers: Document = {"sms-sandbox": {"type": "sandbox", "concurrency": 1, "options": options}}
    configuration |= {
        "activeChannels": ["sms"],
        "channels": {"sms": {"providers": ["sms-sandbox"]}},
        "providers": providers,
    }
    return configuration


async def send(service: Running, token: str, text: str) -> httpx.Response:
    body = {"channels": ["sms"], "clusters": ["all"], "messageTitle": "T", "messageContent": text}
    headers = {"Authorization": f"Bearer {token}", "Prefer": "respond-async"}
    return await service.client.post("/send", json=body, headers=headers)


async def pause(service: Running, *, paused: bool) -> None:
    headers = {"Authorization": f"Bearer {A}"}
    answer = await service.client.patch(
        "/providers/sms-sandbox", json={"paused": paused}, headers=headers
    )
    assert answer.status_code == 200


def texts(service: Running) -> list[str]:
    return [getattr(one.content, "text", "") for one in service.sent]


async def flood(service: Running) -> None:
    """Sixty dispatches of A, then one of B."""
    await pause(service, paused=True)
    async with trio.open_nursery() as nursery:
        for _ in range(60):
            nursery.start_soon(partial(send, service, A, "from a"))
    assert (await send(service, B, "from b")).status_code == 202


async def is_served_in_turn(service: Running) -> None:
    await pause(service, paused=False)
    await service.until(lambda: texts(service).count("from b") == 10)
    sent = texts(service)
    last = len(sent) - 1 - sent[::-1].index("from b")  # more may have been sent since
    assert sent[:last].count("from a") <= 14


async def test_ten_messages_wait_for_no_sixty_dispatches(tmp_path: Path) -> None:
    async with running(tmp_path, one_at_a_time(), users=USERS, environ=ENVIRON) as service:
        await flood(service)
        await is_served_in_turn(service)


async def test_whose_a_dispatch_is_is_known_after_a_restart(tmp_path: Path) -> None:
    configuration = one_at_a_time(drain="1ms")
    async with running(tmp_path, configuration, users=USERS, environ=ENVIRON) as service:
        await flood(service)
    async with running(tmp_path, configuration, environ=ENVIRON) as service:
        await trio.sleep(0.5)  # what was left is being taken up
        await is_served_in_turn(service)


async def test_a_caller_who_has_taken_all_places_keeps_nobody_out(tmp_path: Path) -> None:
    configuration = one_at_a_time(drain="1ms", limits={"openDispatches": 8})
    async with running(tmp_path, configuration, users=USERS, environ=ENVIRON) as service:
        await pause(service, paused=True)
        mine = [(await send(service, A, "from a")).status_code for _ in range(10)]
        assert mine == [202] * 8 + [503] * 2
        others = [(await send(service, B, "from b")).status_code for _ in range(3)]
        assert others == [202, 202, 503]  # a quarter beyond, for who has less than an equal part
        assert (await send(service, A, "from a")).status_code == 503
