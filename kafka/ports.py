"""Commands that come as a stream of records: what is needed of the client, as Protocols."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Part = tuple[str, int]
"""A topic and the number of one of its partitions."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it stands in the topic; `at` is its time in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    key: bytes | None = field(default=None, repr=False)
    value: bytes | None = field(default=None, repr=False)
    at: int | None = None

    @property
    def part(self) -> Part:
        """Where it stands, without the offset."""
        return self.topic, self.partition

    @property
    def place(self) -> str:
        """Where it stands, in one word for people."""
        return f"{self.topic}/{self.partition}/{self.offset}"


class Holder(Protocol):
    """Told of the partitions that this process reads; called while a `poll` is under way."""

    def granted(self, parts: Collection[Part]) -> None:
        """These are ours from now on."""
        ...

    async def revoked(self, parts: Collection[Part]) -> Mapping[Part, int]:
        """These are to be given up: when this returns nothing of them is begun any more.

        Gives for each the offset that reading goes on at, where there is a new one.
        """
        ...

    async def lost(self, parts: Collection[Part]) -> None:
        """These are somebody else's already."""
        ...

    def troubled(self, error: str) -> None:
        """Something went wrong that the client will try again by itself."""
        ...


class Source(Protocol):
    """Reads records of the partitions that are ours. Used by one task at a time."""

    async def poll(self, most: int, seconds: float) -> Sequence[Record]:
        """At most `most` records, as soon as there are any, else none after so many seconds.

        To be called every few seconds, with 0 too: the holder is told from within.
        """
        ...

    async def hold(self, held: bool) -> None:  # noqa: FBT001 - it says what the name says
        """Fetch nothing more of what is ours and becomes ours, or go on fetching."""
        ...

    async def commit(self, offsets: Mapping[Part, int]) -> None:
        """Let reading go on at these offsets after a restart.

        It happens soon, and before `close` returns; what fails is tried again by the next call.
        """
        ...

    async def close(self) -> None:
        """Leave the group; the holder is told that everything is revoked."""
        ...
