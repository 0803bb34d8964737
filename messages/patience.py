"""Reading from a neighbour again when it is away for a moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import trio

from messages.backoff import jittered
from messages.errors import DirectoryUnavailable, FilesUnavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """`attempts` counts all reads, the first included; delays are in seconds."""

    attempts: int = 3
    first_delay: float = 0.2
    max_delay: float = 2.0

    async def read(self, once: Callable[[], Awaitable[T]]) -> T:
        """What `once` returns.

        Raises:
            DirectoryUnavailable: it raised that, or FilesUnavailable, at every attempt.
            FilesUnavailable: likewise.
        """
        for attempt in range(1, self.attempts):
            try:
                return await once()
            except (DirectoryUnavailable, FilesUnavailable):
                await trio.sleep(jittered(attempt, self.first_delay, self.max_delay))
        return await once()
