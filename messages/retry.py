"""Retries: a few while a caller waits, or until it works when no caller does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import random
from typing import Final, TypeVar

import trio

from carillon.messages.errors import DirectoryUnavailable, FilesUnavailable, TryLater


def ceiling(attempt: int, first: float, most: float) -> float:
    """The longest wait in seconds after `attempt` (1 is the first) has failed."""
    return min(first * 2.0 ** min(attempt - 1, 32), most)


def jittered(attempt: int, first: float, most: float, draw: Callable[[], float] = random) -> float:
    """A wait in seconds, drawn evenly between nothing and the ceiling."""
    return draw() * ceiling(attempt, first, most)


T = TypeVar("T")

FIRST_DELAY: Final = 0.5
MAX_DELAY: Final = 10.0


@dataclass(frozen=True, slots=True)
class ReadRetry:
    """How reads are retried. `attempts` includes the first one; delays are in seconds."""

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


async def retry_until(
    once: Callable[[], Awaitable[T]],
    stop: trio.Event,
    on_trouble: Callable[[TryLater], None] = lambda _: None,
    first_delay: float = FIRST_DELAY,
    max_delay: float = MAX_DELAY,
) -> T | None:
    """What `once` returns as soon as it does not raise TryLater; None once `stop` is set.

    It is called at least once. Delays are in seconds.
    """
    attempt = 0
    while True:
        try:
            return await once()
        except TryLater as error:
            attempt += 1
            on_trouble(error)
        with trio.move_on_after(jittered(attempt, first_delay, max_delay)):
            await stop.wait()
        if stop.is_set():
            return None
