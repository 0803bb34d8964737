"""Probes every service that a configuration names; sends no message."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import httpx
import trio

from carillon.app.wiring import directory, files
from carillon.http_client.connection import open_connection
from carillon.http_client.errors import unsent
from carillon.http_client.httpx_transport import Http1Transport
from carillon.http_client.proxies import Proxies
from carillon.http_client.resolver import Resolver
from carillon.http_client.target import origin_of
from carillon.messages.errors import TryLater
from carillon.messages.redaction import without_secrets
from carillon.providers.ports import Reachable
from carillon.settings import KafkaSettings, Settings
from carillon.settings.file.opening import read_start
from carillon.settings.neighbours import addresses

SECONDS: Final = 10.0
"""Timeout of each probe; all run at once."""

Ask: TypeAlias = Callable[[], Awaitable[None]]
"""Raises TryLater if the service does not answer."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The outcome of one probe: the service's key or name, its address, and what is wrong."""

    key: str
    address: str
    problem: str | None

    def __str__(self) -> str:
        return f"{self.key} {self.address}: {self.problem or 'answers'}"


async def ask_all(settings: Settings) -> list[ProbeResult]:
    """Everybody that the configuration names, but for the store."""
    trio.socket.set_custom_hostname_resolver(Resolver())
    tls = httpx.create_ssl_context()
    async with AsyncExitStack() as stack:
        transport = Http1Transport(tls)
        client = await stack.enter_async_context(
            httpx.AsyncClient(timeout=None, transport=transport)  # noqa: S113 - each is bounded
        )
        connections = {**_connections(settings, tls), **_reached(settings, tls)}
        services = _services(settings, client, stack)
        both = connections.keys() & services.keys()
        # The connection attempt gives a better reason.
        after = {who: partial(_in_turn, connections[who], services[who]) for who in both}
        return await _all({**connections, **services, **after})


async def _in_turn(*questions: Ask) -> None:
    for question in questions:
        await question()


async def _all(questions: Mapping[tuple[str, str], Ask]) -> list[ProbeResult]:
    found: dict[tuple[str, str], ProbeResult] = {}

    async def ask(who: tuple[str, str], question: Ask) -> None:
        found[who] = ProbeResult(*who, await _problem(question))

    async with trio.open_nursery() as nursery:
        for who, question in questions.items():
            nursery.start_soon(ask, who, question)
    return [found[who] for who in questions]


async def _problem(question: Ask) -> str | None:
    with trio.move_on_after(SECONDS):
        try:
            await question()
        except TryLater as error:
            return str(error)
        return None
    return f"no answer within {SECONDS:g} s"


def _connections(settings: Settings, tls: ssl.SSLContext) -> dict[tuple[str, str], Ask]:
    """Services of which only the connection can be tested without sending a message."""
    proxies = Proxies()
    called = addresses(settings).items()
    return {
        (key, without_secrets(url)): partial(_connect, url, proxies, tls) for key, url in called
    }


async def _connect(url: str, proxies: Proxies, tls: ssl.SSLContext) -> None:
    """Open a connection, or one to the proxy on the way, and close it. Raises TryLater."""
    target = httpx.URL(url)
    proxy = proxies.on_the_way_to(target.scheme, target.netloc.decode())
    origin = origin_of(httpx.URL(proxy) if proxy else target)
    if origin is None:
        raise TryLater("no address to connect to")
    try:
        (await open_connection(origin, tls)).close()
    except (OSError, UnicodeError) as error:
        raise TryLater(f"{'the proxy: ' if proxy else ''}{unsent(error)}") from None


def _reached(settings: Settings, tls: ssl.SSLContext) -> dict[tuple[str, str], Ask]:
    """Providers that are called by another protocol than HTTP."""
    return {
        (f"providers.{name}.{key}", target.address): partial(_reach, target.provider)
        for name, one in settings.providers.items()
        for key, target in one.config.reached(read_start, tls).items()
    }


async def _reach(provider: Reachable) -> None:
    """Connect, and close. Raises TryLater."""
    problem = await provider.reach()
    if problem is not None:
        raise TryLater(problem)


def _services(
    settings: Settings, client: httpx.AsyncClient, stack: AsyncExitStack
) -> dict[tuple[str, str], Ask]:
    """Services that answer a question which changes nothing."""
    found: dict[tuple[str, str], Ask] = {}
    crud, kept = settings.directory.crud_url, settings.files
    if crud is not None:
        found["CRUD Service", crud] = directory(settings, client, None, stack).check
    if kept.url is not None:
        found["file service", kept.url] = files(settings, client).check
    elif kept.directory is not None:
        found["FILES_DIRECTORY", str(kept.directory)] = files(settings, client).check
    if settings.kafka is not None:
        brokers = ",".join(settings.kafka.connection.brokers)
        found["KAFKA_BROKERS", brokers] = partial(_ask_brokers, settings.kafka)
    return found


async def _ask_brokers(kafka: KafkaSettings) -> None:
    from carillon.kafka.metadata import look_at_cluster

    ask = partial(look_at_cluster, kafka.connection, SECONDS)
    problem = await trio.to_thread.run_sync(ask, abandon_on_cancel=True)
    if problem is not None:
        raise TryLater(problem)
