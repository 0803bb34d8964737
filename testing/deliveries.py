"""Deliveries to send in tests: what a worker hands to a provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from carillon.messages.model import (
    Channel,
    Content,
    Delivery,
    EmailContent,
    PushContent,
    TextContent,
)

_ADDRESSES: Final[Mapping[Channel, str]] = {
    "email": "ada.lovelace@example.com",
    "sms": "+393331234567",
    "voice": "+393331234567",
    "push": "device-token-of-ada",
}
_SENDERS: Final[Mapping[Channel, str]] = {
    "email": "shop@example.com",
    "sms": "Shop",
    "voice": "+390212345678",
    "push": "",
}
_WORDS: Final = "Your order left on Tuesday."


def text(channel: Channel = "sms", words: str = _WORDS) -> Delivery:
    """An SMS, or the words of a call."""
    return _delivery(channel, TextContent(words))


def mail(subject: str = "Order 7", words: str = _WORDS, *, html: bool = False) -> Delivery:
    """A mail with a plain text, or with HTML."""
    content = EmailContent(subject, html=words) if html else EmailContent(subject, text=words)
    return _delivery("email", content)


def push(title: str = "Order 7", words: str = _WORDS) -> Delivery:
    """A push notification."""
    return _delivery("push", PushContent(title, None, words))


def _delivery(channel: Channel, content: Content) -> Delivery:
    return Delivery(
        id="d" * 32,
        dispatch_id="00000000-0000-4000-8000-000000000000",
        channel=channel,
        key="user/ada",
        user_id="ada",
        address=_ADDRESSES[channel],
        sender=_SENDERS[channel],
        content=content,
    )
