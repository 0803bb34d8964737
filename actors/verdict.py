"""How a delivery goes on after a call: what a guard tells the worker that made it."""

from __future__ import annotations

from dataclasses import dataclass

from carillon.messages.model import Outcome, Reason


@dataclass(frozen=True, slots=True)
class Ended:
    """The delivery has its outcome."""

    outcome: Outcome
    reason: Reason
    error: str = ""
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """The next attempt is due in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Every attempt this provider grants failed in passing."""

    error: str


@dataclass(frozen=True, slots=True)
class Anew:
    """The call was not made, and does not count: the delivery waits as it did before."""


Verdict = Ended | Later | Exhausted | Anew
