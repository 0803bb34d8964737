"""What a provider allows holds over kills, as the provider itself sees it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trio

from carillon.messages.model import Document, JsonValue
from tests.neighbours.http import Answer, Request, Server, mia_error, serve
from tests.neighbours.mongodb import MongoServer
from tests.process import Process, process
from tests.running import operator
from tests.stores.shelves import MongoShelf

pytestmark = pytest.mark.servers

USERS: list[Document] = [
    {"_id": f"u{number}", "phoneNumber": f"+39333123456{number}"} for number in range(10)
]
SENT = Answer(200, b"{}")
ASKS_FOR = 6.0
"""Seconds of the Retry-After."""
DAY_AND_HALF = 129_600_000
BUSY = mia_error(429, "busy", retry_after=f"{ASKS_FOR:g}")


@dataclass
class Life:
    """One process on a store that others had before it."""

    process: Process
    client: httpx.AsyncClient

    async def send(self, *numbers: int) -> str:
        """Begin with a dispatch; its address."""
        body: Document = {
            "channels": ["sms"],
            "recipients": [f"u{number}" for number in numbers],
            "messageTitle": "T",
            "messageContent": "C",
        }
        answer = await self.client.post("/send", json=body, headers={"Prefer": "respond-async"})
        assert answer.status_code in {200, 202}, answer.text
        return f"/dispatches/{answer.headers['Dispatch-Id']}"

    async def ended(self, address: str, within: float = 30.0) -> Document:
        """A dispatch once it has ended."""
        with trio.fail_after(within):
            while True:
                told: Document = (await self.client.get(address)).json()
                if told["state"] != "running":
                    return told
                await trio.sleep(0.1)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def life(folder: Path, server: Server, **section: JsonValue) -> AsyncGenerator[Life]:
    provider: Document = {"type": "sms-service", "url": f"{server.url}/", **section}
    document: Document = {
        "activeChannels": ["sms"],
        "sender": {"sms": "Shop"},
        "providers": {"sms-service": provider},
        "journal": {"retention": "1s"} if "rate" in section else {"keepContent": True},
        "idempotency": {"expiry": "1s"},
    }
    token = folder / "operator-token"
    running = process(folder, document, USERS, OPERATOR_TOKEN_FILE=str(token))
    async with running as (it, address):
        async with httpx.AsyncClient(
            base_url=address, timeout=30, headers=operator(token)
        ) as client:
            yield Life(it, client)


def query(folder: Path, text: str) -> int:
    """The number that a query of the store gives, or that a statement has changed."""
    with closing(sqlite3.connect(folder / "carillon.db")) as store, store:
        done = store.execute(text)
        row = done.fetchone()
        return done.rowcount if row is None else int(row[0])


def sent(told: Document, *outcomes: str) -> int:
    """How many deliveries of a dispatch ended so."""
    counts = told["counts"]
    assert isinstance(counts, dict)
    return sum(int(str(counts.get(outcome, 0))) for outcome in outcomes or ("sent",))


async def test_a_window_holds_though_rows_are_kept_for_less(tmp_path: Path) -> None:
    rate: JsonValue = [{"limit": 5, "per": "15s"}]
    async with serve(SENT) as server:
        async with life(tmp_path, server, rate=rate) as first:
            await first.ended(await first.send(*range(5)))
            await first.kill()
        await trio.sleep(1.2)
        async with life(tmp_path, server, rate=rate) as second:
            with trio.fail_after(10):
                while query(tmp_path, "SELECT count(*) FROM attempt"):
                    await trio.sleep(0.1)
            await second.kill()
        async with life(tmp_path, server, rate=rate) as third:
            await third.send(*range(5, 10))
            await server.until(10, 40)
        assert server.most_within(15.0) == 5


async def test_a_redrive_and_a_kill_leave_of_a_quota_what_was_left(tmp_path: Path) -> None:
    answers = [mia_error(400, "no")] * 5

    async def handler(_: Request) -> Answer:
        await trio.sleep(0.3)
        return answers.pop() if answers else SENT

    section: Document = {"quota": {"limit": 5, "resetAt": "00:00"}, "concurrency": 1}
    async with serve(handler) as server:
        async with life(tmp_path, server, **section) as first:
            address = await first.send(*range(5))
            await first.ended(address)
            await trio.sleep(0.5)  # the end follows the answer
            await first.kill()
        for table, at in (("attempt", "ended_at"), ("delivery", "ended_at"), ("call", "at")):
            query(tmp_path, f"UPDATE {table} SET {at} = {at} - {DAY_AND_HALF} WHERE {at} > 0")
        async with life(tmp_path, server, **section) as second:
            assert (await second.client.post(f"{address}/redrive", json={})).status_code == 202
            await server.until(7, 20)
            await second.kill()
        async with life(tmp_path, server, **section) as third:
            told = await third.ended(address)
    assert len(server.requests) == 10
    assert sent(told, "sent", "in-doubt") == 5


async def test_a_pause_that_a_provider_asks_for_holds_over_a_kill(tmp_path: Path) -> None:
    answers = [BUSY]

    async def handler(_: Request) -> Answer:
        return answers.pop() if answers else SENT

    async with serve(handler) as server:
        async with life(tmp_path, server, concurrency=1) as first:
            address = await first.send(*range(3))
            await server.until(1, 10)
            await trio.sleep(0.7)
            await first.kill()
        async with life(tmp_path, server, concurrency=1) as second:
            await server.until(2, 30)
            told = await second.ended(address)
    asked, resumed, *_ = [request.arrived for request in server.requests]
    assert resumed - asked >= ASKS_FOR
    assert sent(told) == 3


async def test_all_replicas_heed_a_pause_that_one_was_asked_for(tmp_path: Path) -> None:
    begun: list[float] = []

    async def handler(request: Request) -> Answer:
        begun.append(request.arrived)
        return BUSY if request.arrived < begun[0] + ASKS_FOR - 0.1 else SENT

    with MongoServer(tmp_path) as store:
        url = store.url("shop")
        await trio.to_thread.run_sync(MongoShelf(url).add, "user", USERS)
        async with serve(handler) as server, AsyncExitStack() as stack:
            document: Document = {
                "activeChannels": ["sms"],
                "sender": {"sms": "Shop"},
                "providers": {
                    "sms-service": {"url": f"{server.url}/", "concurrency": 6, "timeout": "2s"}
                },
            }
            lives: list[Life] = []
            for number in range(3):
                home = tmp_path / f"replica{number}"
                home.mkdir()
                running = process(home, document, STORE_URL=url.text)
                it, address = await stack.enter_async_context(running)
                client = httpx.AsyncClient(base_url=address, timeout=30)
                lives.append(Life(it, await stack.enter_async_context(client)))
            addresses = [await one.send(*range(3 * n, 3 * n + 3)) for n, one in enumerate(lives)]
            for one, address in zip(lives, addresses, strict=True):
                assert sent(await one.ended(address, 40)) == 3
    known, ends = begun[0] + 2.0, begun[0] + ASKS_FOR - 0.1
    assert [at for at in begun if known < at < ends] == []
