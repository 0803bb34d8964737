"""A provider sends an answer too many: no outcome is another delivery's for long."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import trio

from carillon.messages.events import DeliveryDoubted
from carillon.messages.model import Document, JsonValue
from tests.http_client.raw_http import Talk, raw_server
from tests.running import running

USERS: list[Document] = [
    {"_id": f"u{number:03}", "phoneNumber": f"+39333{number:07}"} for number in range(290)
]


def configuration(url: str) -> Document:
    section: JsonValue = {"type": "sms-service", "url": url, "concurrency": 3}
    return {
        "activeChannels": ["sms"],
        "sender": {"sms": "Shop"},
        "channels": {"sms": {"providers": ["p"]}},
        "providers": {"p": section},
    }


async def test_no_outcome_is_wrong_after_an_answer_too_many(tmp_path: Path) -> None:
    """Every second message is refused; one answer comes twice, as the next request is open."""
    meant: dict[str, str] = {}

    async def peer(talk: Talk) -> None:
        turn = trio.Lock()

        async def say(status: int) -> None:
            async with turn:
                await talk.say(b"HTTP/1.1 %d Said\r\ncontent-length: 2\r\n\r\n{}" % status)

        async def stray(status: int) -> None:
            await trio.sleep(0.007)
            await say(status)

        async with trio.open_nursery() as nursery:
            for count in range(1_000_000):
                request = json.loads((await talk.request()).partition(b"\r\n\r\n")[2])
                number = int(request["receiver"][-7:])
                meant[f"u{number:03}"] = "failed" if number % 2 else "sent"
                await trio.sleep(0.005)
                await say(400 if number % 2 else 200)
                if talk.number == 1 and count == 10:
                    nursery.start_soon(stray, 400 if number % 2 else 200)

    async with (
        raw_server(peer) as raw,
        running(tmp_path, configuration(raw.url), users=USERS) as it,
    ):
        names = [str(user["_id"]) for user in USERS]
        answer = await it.send(channels=["sms"], recipients=names)
        assert answer.status_code == 200
        await it.until(lambda: any(isinstance(event, DeliveryDoubted) for event in it.events))
        await trio.sleep(0.2)
        address = f"/dispatches/{answer.headers['Dispatch-Id']}"
        told: dict[str, str] = {}
        cursor = ""
        while True:
            page = (await it.client.get(f"{address}/deliveries?limit=100{cursor}")).json()
            told |= {one["userId"]: one["outcome"] for one in page["deliveries"]}
            if not page.get("next"):
                break
            cursor = f"&cursor={page['next']}"
        counts = (await it.client.get(address)).json()["counts"]
    wrong = {name for name in names if told[name] not in {meant[name], "in-doubt"}}
    assert wrong == set()
    assert 0 < Counter(told.values())["in-doubt"] < 150
    assert {name: count for name, count in counts.items() if count} == Counter(told.values())
