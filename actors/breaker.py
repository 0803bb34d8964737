"""A circuit breaker: stops calling a provider that fails, and asks it again one call at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import trio

BreakerState = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Opens after `failures` transient failures in a row, for `cooldown` seconds."""

    failures: int = 10
    cooldown: float = 30.0


class Breaker:
    """Closed, open or half-open; waiting for it uses up no attempt."""

    def __init__(self, settings: BreakerSettings, moved: Callable[[BreakerState], None]) -> None:
        self._settings = settings
        self._moved = moved
        self._failures = 0
        self._opened_until = 0.0
        self._news = trio.Event()
        self.state: BreakerState = "closed"

    @property
    def admits(self) -> bool:
        """Whether a call may start without waiting."""
        return self.state == "closed" or (
            self.state == "open" and trio.current_time() >= self._opened_until
        )

    async def until_admits(self) -> None:
        """Wait until a call may start; somebody else may be quicker to enter."""
        while not self.admits:
            deadline = self._opened_until if self.state == "open" else float("inf")
            with trio.move_on_at(deadline):
                await self._news.wait()

    def enter(self) -> None:
        """A call starts. On a breaker that was open it is the only probe."""
        if self.state == "open":
            self._move("half-open")

    def succeeded(self) -> None:
        """The provider answered for itself, be it a refusal: it is there."""
        self._failures = 0
        if self.state != "closed":
            self._move("closed")

    def failed(self) -> None:
        """A transient failure: no connection, no answer, 5xx."""
        self._failures += 1
        if self.state == "half-open" or (
            self.state == "closed" and self._failures >= self._settings.failures
        ):
            self._opened_until = trio.current_time() + self._settings.cooldown
            self._move("open")

    def abandoned(self) -> None:
        """A call ended without telling anything; if it was the probe, the next one probes."""
        if self.state == "half-open":
            self._opened_until = trio.current_time()
            self._move("open")

    def _move(self, state: BreakerState) -> None:
        self.state = state
        self._news.set()
        self._news = trio.Event()
        self._moved(state)
