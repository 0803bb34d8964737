"""A source of records and the holder of its partitions, as Protocols."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Part = tuple[str, int]
"""A topic and the number of one of its partitions."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic; `at` is its time in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    key: bytes | None = field(default=None, repr=False)
    value: bytes | None = field(default=None, repr=False)
    at: int | None = None

    @property
    def part(self) -> Part:
        """The topic and partition it is in."""
        return self.topic, self.partition

    @property
    def place(self) -> str:
        """Topic, partition and offset in one word, for people."""
        return f"{self.topic}/{self.partition}/{self.offset}"


class Holder(Protocol):
    """Follows which partitions this process reads; called while a `poll` runs."""

    def granted(self, parts: Collection[Part]) -> None:
        """These partitions are ours from now on."""
        ...

    async def revoked(self, parts: Collection[Part]) -> Mapping[Part, int]:
        """Give up these partitions: when this returns, nothing of them begins any more.

        Returns for each the offset at which reading resumes, if there is a new one.
        """
        ...

    async def lost(self, parts: Collection[Part]) -> None:
        """These partitions already belong to another member."""
        ...

    def troubled(self, error: str) -> None:
        """Something went wrong that the client will retry by itself."""
        ...


class Source(Protocol):
    """Reads records of the partitions that are ours. Used by one task at a time."""

    async def poll(self, most: int, seconds: float) -> Sequence[Record]:
        """At most `most` records as soon as there are any, or none after that many seconds.

        Must be called every few seconds, even with `most` 0: it calls the holder from within.
        """
        ...

    async def hold(self, held: bool) -> None:  # noqa: FBT001 - it says what the name says
        """Pause fetching from partitions that are or become ours, or resume it."""
        ...

    async def commit(self, offsets: Mapping[Part, int]) -> None:
        """Let reading resume at these offsets after a restart.

        It happens soon, and before `close` returns; the next call retries what failed.
        """
        ...

    async def close(self) -> None:
        """Leave the group; the holder gets a call that everything is revoked."""
        ...
