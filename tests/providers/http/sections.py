"""Sections of the type `http`, and the providers that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from carillon.http_client.ports import Wire
from carillon.messages.model import Attempt, Delivery, Document
from carillon.providers.config import BuildContext
from carillon.providers.ports import Provider
from carillon.settings import ProviderSettings, from_document
from carillon.settings.file.opening import read_start
from tests.neighbours.http import Answer, Request, serve
from tests.providers.deliveries import Starts, sms
from tests.providers.test_kafka2firebase import FakeHandovers

NAME: Final = "any"
KEY: Final = "sk-1234567890/+"
SECRETS: Final = {"KEY": KEY}
BODY: Final[Document] = {"to": "{{to}}", "text": "{{text}}"}


def configuration(section: Document) -> Document:
    """A whole file in which a section of this type carries what it says."""
    channels = section.get("channels", ["sms"])
    assert isinstance(channels, list)
    return {
        "activeChannels": channels,
        "sender": {"email": "shop@example.com", "sms": "Shop", "voice": "+390212345678"},
        "channels": {str(name): {"providers": [NAME]} for name in channels},
        "providers": {NAME: {"type": "http", "channels": channels, **section}},
    }


def loaded(section: Document, environ: Mapping[str, str] | None = None) -> ProviderSettings:
    environ = SECRETS if environ is None else environ
    return from_document(configuration(section), environ).providers[NAME]


def built(section: Document, wire: Wire, environ: Mapping[str, str] | None = None) -> Provider:
    context = BuildContext(NAME, wire, FakeHandovers(), read_start)
    return loaded(section, environ).config.build(context)


async def called(section: Document, wire: Wire, delivery: Delivery | None = None) -> Request:
    """The request of a section whose `url` is a path, as a stand-in reads it."""
    async with serve(Answer()) as server:
        url = f"{server.url}{section.get('url', '/send')}"
        provider = built({"secrets": ["KEY"], **section, "url": url}, wire)
        await provider.send(delivery or sms(), Starts())
    [request] = server.requests
    return request


async def answered(section: Document, wire: Wire, answer: Answer) -> Attempt:
    """What a section makes of an answer."""
    async with serve(answer) as server:
        provider = built({"url": server.url, "secrets": ["KEY"], "json": BODY, **section}, wire)
        return await provider.send(sms(), Starts())
