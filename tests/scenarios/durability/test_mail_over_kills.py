"""`kill -9` in the middle of mails over SMTP: none is lost, and none is sent twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio

from carillon.messages.model import Document
from tests.neighbours.smtp import SmtpScript, SmtpServer, listening
from tests.process import Process, process
from tests.properties import is_nightly
from tests.running import operator

pytestmark = pytest.mark.servers

KILLS = 5
CONCURRENCY = 10
ID = re.compile(rb"\r\nMessage-ID: <([0-9a-f]{32})@example\.com>\r\n")


def people(count: int) -> list[Document]:
    return [
        {"_id": f"u{at:04}", "emailAddress": f"u{at:04}@example.com", "clusters": ["all"]}
        for at in range(count)
    ]


@asynccontextmanager
async def life(
    folder: Path, users: list[Document], sink: SmtpServer
) -> AsyncGenerator[tuple[Process, httpx.AsyncClient]]:
    document: Document = {
        "activeChannels": ["email"],
        "sender": {"email": "Shop <shop@example.com>"},
        "providers": {"smtp": {"concurrency": CONCURRENCY}},
    }
    token = folder / "operator-token"
    environ = {"OPERATOR_TOKEN_FILE": str(token), "SMTP_URL": sink.url}
    async with process(folder, document, users, **environ) as (it, address):
        async with httpx.AsyncClient(
            base_url=address, timeout=60, headers=operator(token)
        ) as client:
            yield it, client


async def outcomes(client: httpx.AsyncClient, address: str) -> dict[str, str]:
    """Each delivery's outcome, once its dispatch has ended."""
    with trio.fail_after(120):
        while (await client.get(address)).json()["state"] == "running":
            await trio.sleep(0.2)
    found: dict[str, str] = {}
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": "500", "cursor": cursor}
        page = (await client.get(f"{address}/deliveries", params=query)).json()
        found |= {one["id"]: one["outcome"] for one in page["deliveries"]}
        cursor = page["next"]
    return found


async def test_no_mail_is_lost_and_none_is_sent_twice(tmp_path: Path) -> None:
    count = 2000 if is_nightly() else 600
    users, address = people(count), ""
    body = {
        "channels": ["email"],
        "clusters": ["all"],
        "messageTitle": "News",
        "messageContent": "Dear {{user._id}}",
    }
    async with listening(SmtpScript(delay=0.02)) as sink:
        for kill in range(KILLS):
            async with life(tmp_path, users, sink) as (it, client):
                if not address:
                    prefer = {"Prefer": "respond-async"}
                    answer = await client.post("/send", json=body, headers=prefer)
                    address = f"/dispatches/{answer.headers['Dispatch-Id']}"
                with trio.fail_after(120):
                    while len(sink.mails) < (kill + 1) * count / (KILLS + 1):
                        await trio.sleep(0.01)
                it.kill()
                await it.wait()
        async with life(tmp_path, users, sink) as (_, client):
            told = await outcomes(client, address)
    taken = Counter(found[1].decode() for one in sink.mails if (found := ID.search(one.message)))
    assert sum(taken.values()) == len(sink.mails)
    counts = Counter(told.values())
    assert len(told) == count
    assert counts.keys() <= {"sent", "in-doubt"}
    assert counts["in-doubt"] <= KILLS * CONCURRENCY
    assert max(taken.values()) == 1
    assert {one for one, outcome in told.items() if outcome == "sent"} <= taken.keys()
