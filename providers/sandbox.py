"""A provider without a service behind it: for the demo, for rehearsals and for tests.

It keeps what it would have sent and can be told to go wrong, in three ways; the first that has
something to say wins:

1. tests call `will("throttle", "accept", …)`: the next attempts, one act each;
2. a recipient's address says it: the act's word in an email address or device token
   (`anna+refuse@example.com`), or a phone number's last five digits (`+39333 00400`):
   refuse 00400, throttle 00429, fail 00503, time-out 00504, crash 00500;
3. `Rehearsal` says how often each act comes, by chance.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import random
from typing import Final, Literal, Self, get_args

import trio
from pydantic import Field, model_validator

from carillon.http_client.ports import Started
from carillon.messages.model import (
    CHANNELS,
    Accepted,
    Attempt,
    Cause,
    Delivery,
    Refused,
    Unanswered,
    Unavailable,
)
from carillon.providers.config import BuildContext, Facts, Options, ProviderConfig, of_type
from carillon.providers.ports import Provider
from carillon.providers.responses import answered
from carillon.providers.values import Duration, Share, lasting

Act = Literal["accept", "refuse", "throttle", "fail", "lose", "time-out", "crash"]
"""What an attempt comes to: `fail` is a passing fault, `lose` an answer that never came though the
message may have left, `time-out` a call that hangs until its caller gives up."""

ENDINGS: Final[dict[str, Act]] = {
    "00400": "refuse",
    "00429": "throttle",
    "00503": "fail",
    "00504": "time-out",
    "00500": "crash",
}
KEPT: Final = 1000
PAUSE: Final = 1.0
"""The `Retry-After` of a throttled attempt, in seconds."""


class SandboxOptions(Options):
    """How a sandbox behaves: shares of its calls, from 0 to 1, that add up to at most 1."""

    latency: Duration = lasting("0", "How long a call takes.")
    refuse: Share = Field(default=0.0, description="Share of calls, 0 to 1, refused for good.")
    throttle: Share = Field(default=0.0, description="Share that is throttled.")
    fail: Share = Field(default=0.0, description="Share that fails for now.")
    lose: Share = Field(default=0.0, description="Share whose answer is lost.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.refuse + self.throttle + self.fail + self.lose > 1.0:
            raise ValueError("an object whose refuse, throttle, fail and lose add up to at most 1")
        return self


class SandboxConfig(ProviderConfig):
    """Nobody: for demos, rehearsals and tests."""

    facts = Facts(channels=CHANNELS, connects=False, absent={"url": "a sandbox has no address"})

    type: Literal["sandbox"] = of_type("sandbox")
    options: SandboxOptions = Field(default_factory=SandboxOptions)

    def build(self, context: BuildContext) -> Provider:
        """See `ProviderConfig`."""
        said = self.options
        rehearsal = Rehearsal(said.latency, said.refuse, said.throttle, said.fail, said.lose)
        return Sandbox(rehearsal, context.on_sandbox_message)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """How the sandbox behaves: `latency` in seconds, the others chances from 0 to 1."""

    latency: float = 0.0
    refuse: float = 0.0
    throttle: float = 0.0
    fail: float = 0.0
    lose: float = 0.0

    def act(self, drawn: float) -> Act:
        """The act for a number drawn from 0 to 1: each has its own stretch of the line."""
        chances: dict[Act, float] = {
            "refuse": self.refuse,
            "throttle": self.throttle,
            "fail": self.fail,
            "lose": self.lose,
        }
        for act, chance in chances.items():
            if drawn < chance:
                return act
            drawn -= chance
        return "accept"


class Sandbox:
    """Accepts everything unless told otherwise; `messages` are the last 1,000 it accepted.

    `on_message` hears of each as it is accepted. `attempts` counts every start.
    """

    def __init__(
        self,
        rehearsal: Rehearsal | None = None,
        on_message: Callable[[Delivery], None] | None = None,
        draw: Callable[[], float] = random,
    ) -> None:
        self.messages: deque[Delivery] = deque(maxlen=KEPT)
        self.attempts = 0
        self._rehearsal = rehearsal or Rehearsal()
        self._on_message = on_message
        self._draw = draw
        self._next: deque[Act] = deque()

    def will(self, *acts: Act) -> None:
        """What the next attempts come to, in this order; after them it is as before."""
        self._next.extend(acts)

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        """Play one attempt. A crash raises before the start, like a bug in building a request."""
        act = self._act(delivery.address)
        await trio.lowlevel.checkpoint()
        if act == "crash":
            raise RuntimeError("the sandbox was told to crash")
        started()
        self.attempts += 1
        if self._rehearsal.latency:
            await trio.sleep(self._rehearsal.latency)
        if act == "time-out":
            await trio.sleep_forever()
        if act != "accept":
            return _failure(act)
        self.messages.append(delivery)
        if self._on_message is not None:
            self._on_message(delivery)
        return Accepted(f"sandbox-{self.attempts}")

    def serialize_by(self, delivery: Delivery) -> str | None:
        """Any deliveries may be under way at once."""
        return None

    async def aclose(self) -> None:
        """There is nothing to close."""

    def _act(self, address: str) -> Act:
        if self._next:
            return self._next.popleft()
        return _told_by(address) or self._rehearsal.act(self._draw())


def _told_by(address: str) -> Act | None:
    if address.startswith("+"):
        return ENDINGS.get(address[-5:])
    words: tuple[Act, ...] = get_args(Act)
    return next((word for word in words if f"+{word}" in address), None)


def _failure(act: Act) -> Attempt:
    if act == "refuse":
        return Refused("sandbox answered 400: told to refuse", cause=answered(400))
    if act == "throttle":
        error = "sandbox answered 429: told to throttle"
        return Unavailable(error, PAUSE, throttled=True, cause=answered(429))
    if act == "lose":
        return Unanswered("sandbox: no answer: told to lose it", Cause("reset"))
    return Unavailable("sandbox answered 503: told to fail", cause=answered(503))
