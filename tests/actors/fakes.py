"""Providers without a network, and deliveries to send through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import trio

from messages.envelope import Envelope
from messages.model import (
    Accepted,
    Attempt,
    Channel,
    Delivery,
    Receipt,
    TextContent,
)
from providers.ports import Started

Act = Attempt | Exception | float
"""What a scripted call does: answer so, raise, or take so many seconds and then accept."""


class Script:
    """Plays a list of acts for each delivery id, then accepts; remembers every start."""

    def __init__(self, latency: float = 0.0, /, **acts: Sequence[Act]) -> None:
        self._acts = {name: list(listed) for name, listed in acts.items()}
        self._latency = latency
        self.calls: list[tuple[float, str]] = []
        self.open = 0
        self.most_open = 0

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        await trio.lowlevel.checkpoint()
        act: Act = Accepted()
        with suppress(IndexError, KeyError):
            act = self._acts[delivery.id].pop(0)
        if isinstance(act, Exception):
            self.calls.append((trio.current_time(), delivery.id))
            raise act
        started()
        self.calls.append((trio.current_time(), delivery.id))
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            await trio.sleep(act if isinstance(act, float) else self._latency)
        finally:
            self.open -= 1
        return Accepted() if isinstance(act, float) else act

    def turn(self, delivery: Delivery) -> str | None:
        return None

    async def aclose(self) -> None:
        pass

    @property
    def ids(self) -> list[str]:
        return [name for _, name in self.calls]

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.calls]


def delivery(identity: str, channel: Channel = "sms") -> Delivery:
    return Delivery(
        id=identity,
        dispatch_id="dispatch",
        channel=channel,
        key=f"user/{identity}",
        user_id=identity,
        address="+390000000",
        sender="Shop",
        content=TextContent(f"text of {identity}"),
    )


def envelope(
    identity: str, reply: Callable[[Receipt], None] | None = None, channel: Channel = "sms"
) -> Envelope:
    return Envelope(delivery(identity, channel), reply or (lambda _: None))


def ignore(_: object) -> None:
    """An observer that looks away."""
