"""Limits as a provider sees them at its own socket, and one stalled channel beside another."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from bench.children import module, warm_server
from bench.client import provider_log
from carillon.messages.model import Document, JsonValue
from tests.neighbours.http import Answer, most_within, serve
from tests.running import SENDERS, running

USERS: list[Document] = [
    {
        "_id": f"u{number}",
        "emailAddress": f"u{number}@x.test",
        "phoneNumber": f"+39333{number:05}",
        "clusters": ["all"],
    }
    for number in range(45)
]


def siblings(sms: str, email: str = "", **sms_section: JsonValue) -> Document:
    return {
        "activeChannels": ["sms", "email"] if email else ["sms"],
        "sender": SENDERS,
        "providers": {
            "sms-service": {"url": sms, **sms_section},
            **({"mail-service": {"url": email}} if email else {}),
        },
    }


async def test_no_window_holds_more_than_the_rate_and_none_is_wasted(tmp_path: Path) -> None:
    async with serve(Answer(delay=0.01)) as provider:
        rate: JsonValue = [{"limit": 10, "per": "1s"}]
        async with running(tmp_path, siblings(provider.url, rate=rate), users=USERS) as service:
            started = trio.current_time()
            answer = await service.send(channels=["sms"], clusters=["all"])
            took = trio.current_time() - started
    assert answer.json() == {"failures": []}
    assert len(provider.requests) == 45
    assert provider.most_within(1.0) <= 10
    assert took < 5.2


async def test_several_windows_hold_at_the_socket(tmp_path: Path) -> None:
    async with serve(Answer()) as provider:
        rate: JsonValue = [{"limit": 5, "per": "200ms"}, {"limit": 12, "per": "1s"}]
        async with running(tmp_path, siblings(provider.url, rate=rate), users=USERS) as service:
            await service.send(channels=["sms"], recipients=[f"u{n}" for n in range(30)])
    assert provider.most_within(0.2) <= 5
    assert provider.most_within(1.0) <= 12
    assert len(provider.requests) == 30


async def test_never_more_open_calls_than_the_concurrency(tmp_path: Path) -> None:
    async with serve(Answer(delay=0.02)) as provider:
        configuration = siblings(provider.url, concurrency=4)
        async with running(tmp_path, configuration, users=USERS) as service:
            await service.send(channels=["sms"], clusters=["all"])
    assert len(provider.requests) == 45
    assert provider.max_open == 4


async def test_a_stalled_channel_holds_up_no_other(tmp_path: Path) -> None:
    took: list[float] = []
    while not took or (took[-1] >= 1.0 and len(took) < 3):  # others may have had the processor
        folder = tmp_path / str(len(took))
        await trio.Path(folder).mkdir()
        took.append(await seconds_beside_a_stalled_one(folder))
    assert min(took) < 1.0


async def seconds_beside_a_stalled_one(folder: Path) -> float:
    """How long 300 SMS take while no mail is answered."""
    users: list[Document] = [
        {
            "_id": f"u{number:04}",
            "emailAddress": f"u{number}@x.test",
            "phoneNumber": f"+39333{number:05}",
            "clusters": ["all"],
        }
        for number in range(300)
    ]
    async with serve(Answer(delay=1.5)) as stalled, serve(Answer()) as quick:
        configuration = siblings(quick.url, stalled.url)
        configuration |= {"respondWithin": "100ms", "drain": "10ms"}
        async with running(folder, configuration, users=users) as service:
            started = trio.current_time()
            await service.send(channels=["email", "sms"], clusters=["all"])
            await service.until(lambda: len(quick.requests) == 300)
            return trio.current_time() - started


@pytest.mark.servers
async def test_a_rate_is_shared_by_dispatches(tmp_path: Path) -> None:
    """The provider is a process of its own: in ours it would look at its clock when we let it."""
    with warm_server(module("bench.services.slow", 0), tmp_path / "provider.log") as provider:
        rate: JsonValue = [{"limit": 10, "per": "500ms"}]
        configuration = siblings(provider.url, rate=rate)
        async with running(tmp_path, configuration, users=USERS) as service:
            async with trio.open_nursery() as nursery:
                for number in range(5):
                    ids = [f"u{number * 8 + at}" for at in range(8)]

                    async def send(ids: list[str] = ids) -> None:
                        await service.send(channels=["sms"], recipients=ids)

                    nursery.start_soon(send)
        seen = await trio.to_thread.run_sync(provider_log, provider.url)
    assert len(seen.arrivals) == 40
    assert most_within(0.5, seen.arrivals) <= 10
