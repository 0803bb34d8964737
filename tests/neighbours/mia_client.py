"""The real `@mia-platform/flow-manager-client` from npm, as a process: nothing here was our idea.

`./dev` puts it into `.kafka-test`; node runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio
from confluent_kafka import Consumer, TopicPartition

from carillon.messages.model import JsonValue
from tests.neighbours.kafka import Cluster

_ROOT: Final = Path(__file__).parent.parent.parent
_MODULES: Final = _ROOT / ".kafka-test" / "node_modules"
_SCRIPT: Final = Path(__file__).parent / "flow_manager_client" / "client.js"

Line = tuple[str, str, JsonValue]
"""The saga's id, the label and the metadata, as the client hands them to its user."""


@dataclass
class MiaClient:
    """A client that has joined its group."""

    stdin: trio.abc.SendStream
    received: list[Line] = field(default_factory=list)
    is_ready: trio.Event = field(default_factory=trio.Event)

    async def emit(self, key: str, label: str, payload: JsonValue) -> None:
        """Let it write, as one writes events: a command has the same shape."""
        line = json.dumps({"key": key, "label": label, "payload": payload})
        await self.stdin.send_all(f"{line}\n".encode())

    async def until(self, true: Callable[[list[Line]], bool], within: float = 20.0) -> None:
        """Wait until something is true of what it received."""
        with trio.fail_after(within):
            while not true(self.received):
                await trio.sleep(0.02)

    async def read(self, stdout: trio.abc.ReceiveStream) -> None:
        """Take what it says, for ever."""
        text = b""
        async for part in stdout:
            *lines, text = (text + part).split(b"\n")
            for line in map(json.loads, lines):
                if "ready" in line:
                    self.is_ready.set()
                else:
                    self.received.append((line["key"], line["label"], line["payload"]))


@asynccontextmanager
async def mia_client(
    brokers: Cluster, reads: str, writes: str, *labels: str
) -> AsyncGenerator[MiaClient]:
    """The client around the body: it hands on what comes with these labels, and writes."""
    if not _MODULES.exists():
        raise FileNotFoundError(f"{_MODULES} is missing: ./dev test puts it there")
    await trio.to_thread.run_sync(_begin_at_the_beginning, brokers, "flow-manager", reads)
    words = ["node", str(_SCRIPT), brokers.bootstrap, "flow-manager", reads, writes, *labels]
    environ = {"PATH": os.environ["PATH"], "NODE_PATH": str(_MODULES)}
    it = await trio.lowlevel.open_process(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
    )
    assert it.stdin is not None
    assert it.stdout is not None
    client = MiaClient(it.stdin)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.read, it.stdout)
        try:
            with trio.fail_after(30):
                await client.is_ready.wait()
            yield client
        finally:
            it.kill()
            with trio.CancelScope(shield=True):
                await it.wait()
                await it.stdin.aclose()
            nursery.cancel_scope.cancel()


def _begin_at_the_beginning(brokers: Cluster, group: str, topic: str) -> None:
    """It would begin at the end, at a moment that nobody can know."""
    consumer = Consumer({"bootstrap.servers": brokers.bootstrap, "group.id": group})
    numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    places = [TopicPartition(topic, number, 0) for number in numbers]
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()
