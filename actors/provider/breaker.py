"""A circuit breaker: stops calling a provider that fails, and asks it again one call at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final, Literal

import trio

BreakerState = Literal["closed", "open", "half-open"]

COOLED: Final = "the cooldown is over: one call probes"
ANSWERED: Final = "the provider answers"
ABANDONED: Final = "the probe was not made"
"""Why it moves, but for failures."""


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Opens after `failures` transient failures in a row, for `cooldown` seconds."""

    failures: int = 10
    cooldown: float = 30.0


class Breaker:
    """Closed, open or half-open; waiting for it uses up no attempt.

    `moved` hears of every change of state, synchronously; `why` says what brought the last one.
    """

    def __init__(self, settings: BreakerSettings, moved: Callable[[BreakerState], None]) -> None:
        self.settings = settings
        self.state: BreakerState = "closed"
        self.why = ""
        self.failures = 0
        self._moved = moved
        self._opened_until = -inf

    def opens_at(self) -> float:
        """When a call may start, on trio's clock; infinity while a probe is out."""
        if self.state == "closed":
            return -inf
        return self._opened_until if self.state == "open" else inf

    def enter(self) -> None:
        """A call starts. On a breaker that was open it is the only probe."""
        if self.state == "open":
            self._move("half-open", COOLED)

    def succeeded(self, why: str = ANSWERED) -> None:
        """The provider answered for itself, be it a refusal: it is there."""
        self.failures = 0
        if self.state != "closed":
            self._move("closed", why)

    def failed(self, why: str = "") -> None:
        """A transient failure: no connection, no answer, 5xx."""
        self.failures += 1
        if self.state == "half-open" or (
            self.state == "closed" and self.failures >= self.settings.failures
        ):
            self._opened_until = trio.current_time() + self.settings.cooldown
            self._move("open", why)

    def abandoned(self) -> None:
        """A call ended without telling anything; if it was the probe, the next one probes."""
        if self.state == "half-open":
            self._opened_until = -inf
            self._move("open", ABANDONED)

    def _move(self, state: BreakerState, why: str) -> None:
        self.state, self.why = state, why
        self._moved(state)
