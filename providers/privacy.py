"""What a provider says, made fit for logs and callers: short, printable, without what was sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote

from carillon.messages.model import Delivery, EmailContent, PushContent
from carillon.messages.redaction import without_secrets

LONGEST: Final = 200
READ: Final = 2000
SHORTEST_TEXT: Final = 4

# Bounded repetitions keep a hostile text from costing more than its length.
_EMAIL: Final = re.compile(r"[^\s<>\"'(),;:@]{1,64}(?:@|%40)[^\s<>\"'(),;:@]{1,255}", re.I)
_PHONE: Final = re.compile(r"\+[0-9](?:[ ().\-]{0,2}[0-9]){5,14}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e]+")


def scrubbed(said: str, delivery: Delivery | None, secrets: Iterable[str] = ()) -> str:
    """At most 200 characters of what a provider said, addresses and rendered texts taken out.

    Besides the delivery's own address anything that looks like one goes: a service may name a
    carbon copy, or write the number its own way. None where nothing was to be delivered. What
    authenticates us are `secrets`, which a service may repeat, too.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        said = said.replace(secret, "[secret]").replace(quote(secret, safe=""), "[secret]")
    text = _CONTROL.sub(" ", said[:READ])
    if delivery is not None:
        text = _without_own(text, delivery)
    text = without_secrets(text)
    text = _PHONE.sub("[address]", _EMAIL.sub("[address]", text))
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _without_own(text: str, delivery: Delivery) -> str:
    for secret in _rendered(delivery):
        text = text.replace(_CONTROL.sub(" ", secret), "[text]")
    return _own_address(delivery.address).sub("[address]", text) if delivery.address else text


def _own_address(address: str) -> re.Pattern[str]:
    """The delivery's address in any case; a phone number with or without plus and separators."""
    digits = address.removeprefix("+")
    if digits.isdecimal():
        return re.compile(r"\+?" + r"[ ().\-]{0,2}".join(digits))
    return re.compile(re.escape(address), re.I)


def _rendered(delivery: Delivery) -> Iterator[str]:
    """The texts that were sent, longest first, so that none is left because a part of it went."""
    content = delivery.content
    if isinstance(content, EmailContent):
        texts = [content.subject, content.text, content.html]
    elif isinstance(content, PushContent):
        texts = [content.title, content.subtitle, content.message]
    else:
        texts = [content.text]
    said = (text.strip()[:READ] for text in texts if text)
    return iter(sorted((text for text in said if len(text) >= SHORTEST_TEXT), key=len)[::-1])
