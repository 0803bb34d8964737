"""What would keep a service from starting though its configuration is well formed."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import trio

from carillon.api.server.listener import check_address
from carillon.cli.failure import not_listening
from carillon.settings import ConfigurationError, Settings
from carillon.settings.flow.functions import check_flow_functions
from carillon.settings.providers import check_providers
from carillon.stores.errors import StoreError, StoreInUse
from carillon.stores.mongodb.url import MongoUrl
from carillon.stores.sqlite.look import look_at_store


@dataclass(slots=True)
class Obstacles:
    """Sentences: what is `wrong`, and what another service has `taken` for now."""

    wrong: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)


def obstacles(settings: Settings, *, with_store: bool) -> Obstacles:
    """Everything that would make the start of a service fail; the store only if asked for."""
    found = Obstacles()
    _note(found, partial(check_providers, settings))
    if settings.flow_manager is not None:
        _note(found, partial(trio.run, check_flow_functions, settings.flow_manager))
    _note(found, partial(_check_address, settings, found))
    if with_store:
        _note(found, partial(_check_store, settings, found))
    return found


def _note(found: Obstacles, check: Callable[[], object]) -> None:
    try:
        check()
    except ConfigurationError as error:
        found.wrong += error.problems
    except StoreError as error:
        found.wrong.append(str(error))


def _check_address(settings: Settings, found: Obstacles) -> None:
    server = settings.server
    try:
        check_address(server.host, server.port)
    except OSError as error:
        address = f"{server.host}:{server.port}"
        failure = not_listening(error, address, "HTTP_HOST and HTTP_PORT")
        text = f"HTTP_HOST and HTTP_PORT: {error}" if failure is None else failure.message
        (found.taken if error.errno == errno.EADDRINUSE else found.wrong).append(text)


def _check_store(settings: Settings, found: Obstacles) -> None:
    """Raises StoreError."""
    store = settings.directory.mongodb
    if store is None:
        path = settings.directory.store_path
        if look_at_store(path):
            found.taken.append(str(StoreInUse.of(path)))
        return
    _check_mongodb(store)


def _check_mongodb(url: MongoUrl) -> None:
    from carillon.stores.mongodb.client import check_schema, connected

    with connected(url) as client:
        check_schema(client, url)
