"""Several replicas on one MongoDB: what one leaves the others take up, and nobody sends twice."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trio

from carillon.actors.capacity.ledger import parse_ledger
from carillon.messages.model import Document, JsonValue
from carillon.stores.mongodb.client import connected
from tests.neighbours.http import Server, serve
from tests.neighbours.mongodb import MongoServer
from tests.neighbours.sms_service import SmsService
from tests.process import Process, process
from tests.running import operator
from tests.stores.shelves import MongoShelf

pytestmark = pytest.mark.servers

CROWD: list[Document] = [
    {"_id": f"u{number:04}", "phoneNumber": f"+39333{number:06}1", "clusters": ["all"]}
    for number in range(400)
]
SMS: Document = {
    "channels": ["sms"],
    "recipients": [],
    "clusters": ["all"],
    "messageTitle": "T",
    "messageContent": "C",
}
TAKEN_OVER_WITHIN = 10.0
MOST_OPEN = 5


@dataclass
class Replica:
    """A service as a process of its own."""

    process: Process
    client: httpx.AsyncClient

    async def begin(self) -> str:
        """Post the dispatch; its address."""
        answer = await self.client.post("/send", json=SMS, headers={"Prefer": "respond-async"})
        assert answer.status_code == 202, answer.text
        return answer.headers["Location"]

    async def record(self, address: str) -> Document:
        """What this one knows of a dispatch."""
        answer = await self.client.get(address)
        assert answer.status_code == 200, answer.text
        told: Document = answer.json()
        return told

    async def ended(self, address: str, within: float) -> dict[str, int]:
        """The counts of a dispatch once it has ended."""
        with trio.fail_after(within):
            while True:
                told = await self.record(address)
                if told["state"] != "running":
                    counts = told["counts"]
                    assert isinstance(counts, dict)
                    return {name: int(str(number)) for name, number in counts.items()}
                await trio.sleep(0.1)


@dataclass
class Fleet:
    """Replicas, the store they share, and the provider that all of them call."""

    replicas: list[Replica]
    store: MongoServer
    provider: SmsService
    server: Server

    async def until_sent(self, number: int) -> None:
        """Wait until the provider has so many."""
        with trio.fail_after(20):
            while len(self.provider.messages) < number:
                await trio.sleep(0.01)

    async def begun(self) -> tuple[Replica, Replica, str]:
        """The first replica, which has begun to send a dispatch, another one, and its address."""
        first, second, *_ = self.replicas
        address = await first.begin()
        await self.until_sent(40)
        return first, second, address

    def doubled(self) -> int:
        """How many messages were more than one to a number."""
        receivers = Counter(one.receiver for one in self.provider.messages)
        return sum(receivers.values()) - len(receivers)


def configuration(url: str, **section: JsonValue) -> Document:
    # What a dead replica held of the concurrency rests as long as its calls may take.
    limits: Document = {"concurrency": MOST_OPEN, "timeout": "2s"}
    provider: Document = {"type": "sms-service", "url": url, **limits, **section}
    return {
        "activeChannels": ["sms"],
        "sender": {"sms": "Shop"},
        "channels": {"sms": {"providers": ["sms-service"]}},
        "providers": {"sms-service": provider},
    }


@pytest.fixture
def mongo_server(tmp_path: Path) -> Iterator[MongoServer]:
    with MongoServer(tmp_path) as started:
        MongoShelf(started.url("shop")).add("user", CROWD)
        yield started


@asynccontextmanager
async def fleet(
    folder: Path, store: MongoServer, size: int, latency: float = 0.02
) -> AsyncGenerator[Fleet]:
    """So many replicas; each call to the provider takes so many seconds."""
    provider = SmsService()

    async def slowly(request: object) -> object:
        await trio.sleep(latency)
        return await provider(request)  # type: ignore[arg-type]  # as it was handed over

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(slowly))  # type: ignore[arg-type]
        replicas: list[Replica] = []
        for number in range(size):
            home = folder / f"replica{number}"
            home.mkdir()
            document = configuration(f"{server.url}/")
            url = store.url("shop").text
            token = home / "operator-token"
            it, address = await stack.enter_async_context(
                process(home, document, STORE_URL=url, OPERATOR_TOKEN_FILE=str(token))
            )
            client = await stack.enter_async_context(
                httpx.AsyncClient(base_url=address, timeout=30, headers=operator(token))
            )
            replicas.append(Replica(it, client))
        yield Fleet(replicas, store, provider, server)


async def test_what_a_killed_replica_leaves_is_taken_over(
    tmp_path: Path, mongo_server: MongoServer
) -> None:
    async with fleet(tmp_path, mongo_server, 2) as it:
        first, second, address = await it.begun()
        first.process.kill()
        sent = len(it.provider.messages)
        with trio.fail_after(TAKEN_OVER_WITHIN):
            while len(it.provider.messages) < sent + 20:
                await trio.sleep(0.05)
        counts = await second.ended(address, 30)
    assert counts["sent"] + counts["in-doubt"] == len(CROWD)
    assert counts["in-doubt"] <= MOST_OPEN
    assert it.doubled() == 0
    assert len(it.provider.messages) >= counts["sent"]


async def test_a_replica_that_was_taken_for_dead_sends_nothing_twice(
    tmp_path: Path, mongo_server: MongoServer
) -> None:
    async with fleet(tmp_path, mongo_server, 2) as it:
        first, second, address = await it.begun()
        first.process.send_signal(signal.SIGSTOP)
        await trio.sleep(7)
        first.process.send_signal(signal.SIGCONT)
        counts = await second.ended(address, 30)
        await trio.sleep(1)
        assert (await first.record(address))["state"] == "done"
        again = await first.begin()
        assert (await first.ended(again, 30))["sent"] == len(CROWD)
    assert counts["sent"] + counts["in-doubt"] == len(CROWD)
    assert counts["in-doubt"] <= MOST_OPEN
    assert it.doubled() <= len(CROWD)


async def test_a_replica_that_is_stopped_leaves_its_work_at_once(
    tmp_path: Path, mongo_server: MongoServer
) -> None:
    async with fleet(tmp_path, mongo_server, 2) as it:
        first, second, address = await it.begun()
        first.process.terminate()
        first.process.terminate()
        counts = await second.ended(address, 30)
    assert counts["sent"] + counts["in-doubt"] == len(CROWD)
    assert it.doubled() == 0


async def test_any_replica_tells_of_a_dispatch_and_cancels_it(
    tmp_path: Path, mongo_server: MongoServer
) -> None:
    async with fleet(tmp_path, mongo_server, 2) as it:
        first, second, address = await it.begun()
        answer = await second.client.delete(address)
        assert answer.status_code == 200
        assert answer.json()["state"] == "cancelling"
        counts = await first.ended(address, 5)
        with trio.fail_after(5):
            while counts.get("pending"):
                await trio.sleep(0.05)
                counts = await first.ended(address, 5)
    assert counts["cancelled"] > 0
    assert counts["sent"] + counts["cancelled"] == len(CROWD)


@pytest.mark.parametrize("how", ["killed", "silent"])
async def test_a_store_that_is_away_costs_nothing_but_time(
    tmp_path: Path, mongo_server: MongoServer, how: str
) -> None:
    async with fleet(tmp_path, mongo_server, 2) as it:
        _, second, address = await it.begun()
        (mongo_server.kill if how == "killed" else mongo_server.freeze)()
        await trio.sleep(9)
        sent = len(it.provider.messages)
        with trio.fail_after(8):
            refused = await second.client.post("/send", json=SMS)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        await trio.sleep(1)
        assert len(it.provider.messages) == sent
        await trio.to_thread.run_sync(mongo_server.start if how == "killed" else mongo_server.thaw)
        counts = await second.ended(address, 30)
    assert counts == {**dict.fromkeys(counts, 0), "sent": len(CROWD)}
    assert it.doubled() == 0


async def test_a_dispatch_is_worked_on_by_all_and_answered_by_one(
    tmp_path: Path, mongo_server: MongoServer
) -> None:
    lame: list[Document] = [
        {"_id": f"v{number}", "phoneNumber": "none", "clusters": ["all"]} for number in range(3)
    ]
    more: list[Document] = [
        {"_id": f"w{number:04}", "phoneNumber": f"+39334{number:06}1", "clusters": ["all"]}
        for number in range(1600)  # more than one channel holds
    ]
    MongoShelf(mongo_server.url("shop")).add("user", [*lame, *more])
    async with fleet(tmp_path, mongo_server, 3, latency=0.01) as it:
        await trio.sleep(1)  # they have to know of each other
        answer = await it.replicas[0].client.post("/send", json=SMS, timeout=120)
        assert answer.status_code == 200
        failures = answer.json()["failures"]
        with connected(mongo_server.url("shop")) as client:
            senders = client["shop"]["attempts"].distinct("by")
            left = client["shop"]["deliveries"].count_documents({"holder": {"$exists": True}})
    assert sorted(one["userId"] for one in failures) == ["v0", "v1", "v2"]
    assert len(it.provider.messages) == len(CROWD) + len(more)
    assert it.doubled() == 0
    assert len(senders) >= 2
    assert left == 0


async def test_each_replica_has_one_id_for_its_heartbeat_its_shares_and_its_attempts(
    tmp_path: Path, mongo_server: MongoServer
) -> None:
    async with fleet(tmp_path, mongo_server, 2) as it:
        first, second, address = await it.begun()
        before = await until_agreed(mongo_server, 2)
        first.process.send_signal(signal.SIGSTOP)
        await trio.sleep(7)
        first.process.send_signal(signal.SIGCONT)
        await second.ended(address, 30)
        await first.ended(await first.begin(), 30)
        after = await until_agreed(mongo_server, 2)
        with connected(mongo_server.url("shop")) as client:
            senders = set(client["shop"]["attempts"].distinct("by"))
    assert len(before & after) == 1  # who was taken for dead goes on under another one
    assert senders <= before | after


async def until_agreed(store: MongoServer, number: int) -> frozenset[str]:
    """The ids of so many replicas, once those with a heartbeat and with shares are the same."""
    with trio.fail_after(15), connected(store.url("shop")) as client:
        while True:
            database = client["shop"]
            alive = {str(one["_id"]) for one in database["replicas"].find()}
            board = database["shares"].find_one({"_id": "sms-service"})
            entries = parse_ledger("" if board is None else str(board["text"])).entries
            if len(alive) == number and alive == entries.keys():
                return frozenset(alive)
            await trio.sleep(0.2)
