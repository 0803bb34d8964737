"""Deliveries for the adapters' tests, and a wire that answers from a list."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from carillon.http_client.ports import Body, Headers, NotSent, Reply, Started
from carillon.messages.model import (
    Channel,
    Content,
    Delivery,
    EmailContent,
    MailExtras,
    PushContent,
    TextContent,
)

ADDRESSES: dict[Channel, str] = {
    "email": "mario.rossi@example.com",
    "sms": "+393331234567",
    "voice": "+393331234567",
    "push": "device-token-1",
}
SENDERS: dict[Channel, str] = {
    "email": "shop@example.com",
    "sms": "Shop",
    "voice": "+390212345678",
    "push": "",
}


def delivery(
    channel: Channel,
    content: Content,
    address: str | None = None,
    mail: MailExtras | None = None,
) -> Delivery:
    return Delivery(
        id="d" * 32,
        dispatch_id="dispatch-1",
        channel=channel,
        key="user/1",
        user_id="user-1",
        address=ADDRESSES[channel] if address is None else address,
        sender=SENDERS[channel],
        content=content,
        mail=mail,
    )


def email(
    text: str = "Your order left.", address: str | None = None, mail: MailExtras | None = None
) -> Delivery:
    return delivery("email", EmailContent("Order 7", text=text), address, mail)


def sms(text: str = "Your order left.", address: str | None = None) -> Delivery:
    return delivery("sms", TextContent(text), address)


def voice(text: str = "Your order left.", address: str | None = None) -> Delivery:
    return delivery("voice", TextContent(text), address)


def push(content: PushContent | None = None, address: str | None = None) -> Delivery:
    return delivery("push", content or PushContent("Order", None, "It left."), address)


@dataclass
class Starts:
    """A `Started` that remembers when it was called."""

    times: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        self.times.append(trio.current_time())
        return trio.current_effective_deadline()


@dataclass
class ScriptedWire:
    """A wire that answers from a list and remembers what was asked."""

    replies: list[Reply]
    urls: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def exchange(
        self, method: str, url: str, headers: Headers, body: Body, started: Started
    ) -> Reply:
        await trio.lowlevel.checkpoint()
        started()
        self.urls.append(url)
        self.bodies.append(body if isinstance(body, bytes) else b"".join(body))
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    async def reach(self, url: str) -> NotSent | None:
        await trio.lowlevel.checkpoint()
        self.urls.append(url)
        reply = self.replies[0]
        return reply if isinstance(reply, NotSent) else None

    async def aclose(self) -> None:
        self.replies = []
