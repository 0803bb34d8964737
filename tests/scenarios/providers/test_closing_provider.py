"""A provider closes each connection after its answer, and says nothing of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import trio

from carillon.messages.model import Document, JsonValue
from tests.http_client.raw_http import Talk, raw_server
from tests.running import running

USERS: list[Document] = [
    {"_id": f"u{number:04}", "emailAddress": f"u{number:04}@x.test"} for number in range(1000)
]


def configuration(url: str) -> Document:
    section: JsonValue = {"type": "mail-service", "url": url, "concurrency": 20}
    return {
        "activeChannels": ["email"],
        "sender": {"email": "shop@example.com"},
        "channels": {"email": {"providers": ["p"]}},
        "providers": {"p": section},
    }


@pytest.mark.parametrize("after", [0.0, 0.001])
async def test_at_most_one_in_a_thousand_is_in_doubt(tmp_path: Path, after: float) -> None:
    arrived = 0

    async def peer(talk: Talk) -> None:
        nonlocal arrived
        await talk.request()
        arrived += 1
        await trio.sleep(0.002)
        await talk.say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        if after:
            await trio.sleep(after)

    async with (
        raw_server(peer) as raw,
        running(tmp_path, configuration(raw.url), users=USERS) as it,
    ):
        names = [str(user["_id"]) for user in USERS]
        answer = await it.send(channels=["email"], recipients=names)
        address = f"/dispatches/{answer.headers['Dispatch-Id']}"
        counts = Counter((await it.client.get(address)).json()["counts"])
    assert counts["in-doubt"] <= 1
    assert counts["sent"] + counts["in-doubt"] == len(USERS)
    assert arrived == counts["sent"] + counts["in-doubt"]
