"""Settings in, working parts out: which adapter stands behind which port."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache, partial

import httpx

from carillon.actors.channel import ChannelSpec
from carillon.actors.provider.guard import Guard
from carillon.actors.router import Choice, Route
from carillon.api.checkup import Check, asking
from carillon.app.storage import Cluster
from carillon.dispatches.planner import DispatchPolicy, Ports
from carillon.dispatches.render import ProviderPaths
from carillon.dispatches.template_faults import TemplateFaults
from carillon.handlebars import Engine
from carillon.http_client.client import Http1Wire
from carillon.messages.events import Observer
from carillon.messages.model import Channel, Delivery
from carillon.messages.offload import Offload
from carillon.messages.ports.directory import Directory, Files
from carillon.messages.ports.handovers import Handovers
from carillon.messages.retry import ReadRetry
from carillon.messages.version import VERSION
from carillon.providers.config import BuildContext, MakeEngine
from carillon.providers.ports import Provider
from carillon.settings import (
    ConfigurationError,
    ConfigurationFile,
    DirectorySettings,
    ProviderSettings,
    Settings,
)
from carillon.settings.file.opening import read_start
from carillon.settings.providers import plugin_fault
from carillon.stores.crud.directory import CrudDirectory
from carillon.stores.editing import DirectoryEditor
from carillon.stores.files import FilesDirectory, FileService, NoFiles
from carillon.stores.ports import Editing
from carillon.stores.sqlite.directory import SqliteDirectory
from carillon.stores.sqlite.editing import SqliteEditing
from carillon.tuning.patch import Override, limits

SandboxListener = Callable[[Delivery], None]


def introduction(
    settings: Settings, store: str, file: ConfigurationFile | None
) -> Mapping[str, object]:
    """What the first line of the log says of this service."""
    return {
        "version": VERSION,
        "store": store,
        "configuration": None if file is None else str(file.path),
        "channels": list(settings.active_channels),
        "providers": {name: one.type for name, one in settings.providers.items()},
        "apiKeys": len(settings.access.keys),
    }


def rules(settings: Settings, times_to_live: Mapping[Channel, float]) -> DispatchPolicy:
    """What the configuration says of every dispatch."""
    return DispatchPolicy(
        active_channels=settings.active_channels,
        senders=settings.senders,
        user_fields=settings.user_fields,
        escape_everywhere=settings.escape_everywhere,
        most_failures=settings.limits.failures,
        open_dispatches=settings.limits.open_dispatches,
        patience=_patience(settings.directory),
        times_to_live=times_to_live,
        keeps_content=settings.journal.keep_content,
        most_values=settings.limits.values,
        for_providers=_paths(settings),
        both_bodies=any(one.config.facts.both_bodies for one in settings.providers.values()),
    )


def _paths(settings: Settings) -> ProviderPaths:
    """What providers read of requests: on a channel any that runs and carries it may be called."""
    make = _make_engine(settings)
    found: dict[Channel, frozenset[tuple[str, ...]]] = {}
    for one in settings.providers.values():
        if paths := one.config.paths(make):
            for channel in one.config.carried:
                found[channel] = found.get(channel, frozenset()) | paths
    return found


def _make_engine(settings: Settings) -> MakeEngine:
    """Makes the engine for the templates of providers when one of them has some."""
    return cache(partial(engine, settings))


def _patience(chosen: DirectorySettings) -> ReadRetry:
    # What MongoDB does not answer is tried again beneath, as long as one read may take.
    tries_itself = chosen.crud_url is None and chosen.mongodb is not None
    return ReadRetry(attempts=1 if tries_itself else chosen.attempts)


def engine(settings: Settings) -> Engine:
    """The template engine with the configured limits."""
    return Engine(locale=settings.default_locale, limits=settings.template_limits)


def directory(
    settings: Settings,
    client: httpx.AsyncClient,
    cluster: Cluster | None,
    stack: AsyncExitStack,
) -> Directory:
    """Where users and templates are read from."""
    chosen = settings.directory
    if chosen.crud_url is None and cluster is not None:
        return cluster.directory(settings)
    if chosen.crud_url is None:
        embedded = SqliteDirectory(chosen.store_path, settings.user_fields)
        stack.callback(embedded.close)
        return embedded
    return CrudDirectory(
        client,
        chosen.crud_url,
        users=chosen.users_collection or "users",
        templates=chosen.templates_collection,
        fields=settings.user_fields,
        timeout=chosen.timeout,
    )


def editor(
    settings: Settings, cluster: Cluster | None, stack: AsyncExitStack, offload: Offload
) -> DirectoryEditor | None:
    """What edits users and templates; None if they are those of the CRUD Service."""
    chosen = settings.directory
    if chosen.crud_url is not None:
        return None
    editing: Editing
    if cluster is not None:
        editing = cluster.editing(settings)
    else:
        embedded = SqliteEditing(chosen.store_path)
        stack.callback(embedded.close)
        editing = embedded
    faults = TemplateFaults(Engine(cache_size=1, limits=settings.template_limits))
    return DirectoryEditor(
        editing, settings.user_fields, lambda one: [*faults.problems(one)], offload
    )


def files(settings: Settings, client: httpx.AsyncClient) -> Files:
    """Where attachments are fetched from."""
    if settings.files.url is not None:
        return FileService(client, settings.files.url, timeout=settings.directory.timeout)
    if settings.files.directory is not None:
        return FilesDirectory(settings.files.directory)
    return NoFiles()


def checks(settings: Settings, ports: Ports) -> dict[str, Check]:
    """What a check-up asks of where things are read from, as far as there is such a place."""
    found = {"directory": asking(ports.directory.check)}
    if settings.files.url is not None or settings.files.directory is not None:
        found["files"] = asking(ports.files.check)
    return found


@dataclass(frozen=True, slots=True)
class Beside:
    """What some providers need: the store of handovers, and the listener of the sandbox."""

    handovers: Handovers
    on_sandbox_message: SandboxListener | None = None


def guards(
    settings: Settings,
    observe: Observer,
    stack: AsyncExitStack,
    tls: ssl.SSLContext,
    beside: Beside,
) -> Mapping[str, Guard]:
    """One guard a provider that an active channel uses."""
    made: dict[str, Guard] = {}
    make = _make_engine(settings)
    offload = Offload()
    for name, section in settings.providers.items():
        context = BuildContext(
            name=name,
            wire=Http1Wire(tls),
            handovers=beside.handovers,
            read=read_start,
            engine=make,
            tls=tls,
            offload=offload,
            android_intent_action=settings.android_intent_action,
            kafka=None if settings.kafka is None else settings.kafka.connection,
            on_sandbox_message=beside.on_sandbox_message,
        )
        provider = _provider(section, context)
        stack.push_async_callback(provider.aclose)
        made[name] = Guard(name, provider, limits(section, Override()), observe)
    return made


def channels(settings: Settings, made: Mapping[str, Guard]) -> list[ChannelSpec]:
    """One specification an active channel."""
    return [_channel(name, settings, made) for name in settings.active_channels]


def _channel(name: Channel, settings: Settings, made: Mapping[str, Guard]) -> ChannelSpec:
    choices = settings.channels[name].providers
    return ChannelSpec(name, Route([Choice(made[one.name], one.weight) for one in choices]))


def _provider(section: ProviderSettings, context: BuildContext) -> Provider:
    """Raises ConfigurationError."""
    try:
        return section.config.build(context)
    except ValueError as error:
        raise ConfigurationError([f"providers.{section.name}.{error}"]) from None
    except Exception as error:
        if (fault := plugin_fault(section.type, error)) is None:
            raise
        raise ConfigurationError([f"providers.{section.name}: {fault}"]) from error
