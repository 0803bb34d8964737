"""The process is stopped and goes on, as with a suspended machine: what came meanwhile counts."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest
import trio

from carillon.messages.model import Document, JsonValue
from tests.neighbours.http import Answer, serve
from tests.process import process

USERS: list[Document] = [
    {"_id": f"u{number:03}", "emailAddress": f"u{number:03}@x.test"} for number in range(60)
]
NAMES = [str(user["_id"]) for user in USERS]
MESSAGE = {"channels": ["email"], "messageTitle": "T", "messageContent": "C"}


def configuration(url: str, **section: JsonValue) -> Document:
    return {
        "activeChannels": ["email"],
        "sender": {"email": "shop@example.com"},
        "channels": {"email": {"providers": ["p"]}},
        "providers": {"p": {"type": "mail-service", "url": url, **section}},
    }


@pytest.mark.parametrize("pause", [1.5, 7.5])
async def test_calls_that_were_answered_meanwhile_are_sent(tmp_path: Path, pause: float) -> None:
    """Also after more than what makes a worker count as stuck."""
    async with serve(Answer(200, b"{}", delay=0.4)) as server:
        document = configuration(server.url, timeout="1s", concurrency=8)
        async with process(tmp_path, document, USERS) as (it, url):
            async with httpx.AsyncClient(base_url=url, timeout=30) as client:

                async def stop_and_go_on() -> None:
                    while len(server.requests) < 8:
                        await trio.sleep(0.01)
                    it.send_signal(signal.SIGSTOP)
                    await trio.sleep(pause)
                    it.send_signal(signal.SIGCONT)

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(stop_and_go_on)
                    answer = await client.post("/send", json={**MESSAGE, "recipients": NAMES[:8]})
    assert answer.json() == {"failures": []}
    assert len(server.requests) == 8


async def test_no_window_holds_a_call_too_many_however_often_it_is_stopped(
    tmp_path: Path,
) -> None:
    """Measured at the provider's socket."""
    async with serve(Answer(200, b"{}")) as server:
        rate: JsonValue = [{"limit": 10, "per": "500ms"}]
        document = configuration(server.url, rate=rate, concurrency=10)
        async with process(tmp_path, document, USERS) as (it, url):
            async with httpx.AsyncClient(base_url=url, timeout=30) as client:

                async def stop_again_and_again() -> None:
                    while len(server.requests) < len(NAMES):
                        it.send_signal(signal.SIGSTOP)
                        await trio.sleep(0.03)
                        it.send_signal(signal.SIGCONT)
                        await trio.sleep(0.01)

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(stop_again_and_again)
                    answer = await client.post("/send", json={**MESSAGE, "recipients": NAMES})
    assert answer.json() == {"failures": []}
    assert server.most_within(0.495) <= 10
