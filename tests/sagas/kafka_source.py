"""A stream of commands in memory, and somebody who decides them, both under a test's control."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence

import trio

from carillon.kafka.ports import Part, Record
from carillon.messages.errors import TooManyDispatches
from carillon.sagas.kafka_commands import CommandStream
from carillon.sagas.kafka_records import StreamCommand
from carillon.sagas.service import Work


def record(
    offset: int,
    key: str | bytes | None = "S-1",
    value: str | bytes | None = None,
    partition: int = 0,
) -> Record:
    """A record of the topic `c`; a value that is not given is a command."""
    if value is None:
        value = json.dumps({"messageLabel": "tell", "messagePayload": offset})
    raw_key = key.encode() if isinstance(key, str) else key
    raw_value = value.encode() if isinstance(value, str) else value
    return Record("c", partition, offset, raw_key, raw_value, 1000 + offset)


class FakeSource:
    """Gives what stands in `records`, unless it is held; keeps what is committed."""

    def __init__(self, stream: CommandStream, *records: Record) -> None:
        self.stream = stream
        self.records = deque(records)
        self.held = False
        self.holds: list[bool] = []
        self.commits: dict[Part, list[int]] = {}
        self.is_closed = False
        self.most_asked = 0

    def committed(self, partition: int = 0) -> int | None:
        """The last offset committed of a partition."""
        found = self.commits.get(("c", partition))
        return found[-1] if found else None

    async def poll(self, most: int, seconds: float) -> Sequence[Record]:
        await trio.sleep(seconds if self.held or not self.records else 0)
        if self.held:
            return []
        self.most_asked = max(self.most_asked, most)
        return [self.records.popleft() for _ in range(min(most, len(self.records)))]

    async def hold(self, held: bool) -> None:  # noqa: FBT001 - as in the port
        await trio.lowlevel.checkpoint()
        if held != self.held:
            self.holds.append(held)
        self.held = held

    async def commit(self, offsets: Mapping[Part, int]) -> None:
        await trio.lowlevel.checkpoint()
        for part, offset in offsets.items():
            self.commits.setdefault(part, []).append(offset)

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()
        self.is_closed = True


class Taker:
    """Decides each command after `seconds`; while it is `full` it decides none."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.full = False
        self.begun: list[int] = []
        self.decided: list[int] = []
        self.open = 0
        self.most_open = 0
        self.slow: dict[int, float] = {}

    async def __call__(self, command: StreamCommand, at: int | None) -> Work:
        number = (at or 0) - 1000
        if self.full:
            await trio.lowlevel.checkpoint()
            raise TooManyDispatches("Too many dispatches are open")
        self.begun.append(number)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await trio.sleep(self.slow.get(number, self.seconds))
        finally:
            self.open -= 1
        self.decided.append(number)
        return Work()
