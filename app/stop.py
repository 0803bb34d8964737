"""The wish to stop, and what ends when it comes."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import trio

LAST_WORDS: Final = 10.0
"""Seconds for answers to leave after the drain; every dispatch has ended by then."""


@dataclass(slots=True)
class Stop:
    """The wish to stop: `asked` begins it, `at_once` ends every wait that belongs to it."""

    asked: trio.Event = field(default_factory=trio.Event)
    at_once: trio.Event = field(default_factory=trio.Event)

    async def on_signals(self) -> None:
        """Turn the first SIGTERM or SIGINT into `asked` and the second into `at_once`."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                (self.at_once if self.asked.is_set() else self.asked).set()

    async def unless_at_once(self, wait: Callable[[], Awaitable[object]], seconds: float) -> None:
        """Wait for something for at most `seconds`, and not at all once `at_once` is set."""
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + seconds
            nursery.start_soon(self._cancel_at_once, nursery.cancel_scope)
            await wait()
            nursery.cancel_scope.cancel()

    async def _cancel_at_once(self, scope: trio.CancelScope) -> None:
        await self.at_once.wait()
        scope.cancel()
