"""Settings in, working parts out: which adapter stands behind which port."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import assert_never

import httpx

from carillon.actors.channel import ChannelSpec
from carillon.actors.provider.guard import Guard
from carillon.actors.router import Choice, Route
from carillon.api.checkup import Check, asking
from carillon.app.kafka import push_topic
from carillon.app.storage import Cluster
from carillon.dispatches.planner import DispatchPolicy, Ports
from carillon.handlebars import Engine
from carillon.http_client.client import Http1Wire
from carillon.http_client.ports import Wire
from carillon.messages.events import Observer
from carillon.messages.model import Channel, Delivery
from carillon.messages.ports.directory import Directory, Files
from carillon.messages.ports.handovers import Handovers
from carillon.messages.retry import ReadRetry
from carillon.messages.version import VERSION
from carillon.providers.firebase.provider import URL as FCM_URL
from carillon.providers.firebase.provider import Firebase
from carillon.providers.kaleyra import Kaleyra
from carillon.providers.mail_service import MailService
from carillon.providers.ports import Provider
from carillon.providers.sandbox import Rehearsal, Sandbox
from carillon.providers.sms_service import SmsService
from carillon.settings import (
    ConfigurationError,
    ConfigurationFile,
    DirectorySettings,
    KaleyraCredentials,
    KaleyraOptions,
    ProviderSettings,
    SandboxOptions,
    Settings,
)
from carillon.settings.accounts import service_account
from carillon.stores.crud.directory import CrudDirectory
from carillon.stores.files import FilesDirectory, FileService, NoFiles
from carillon.stores.sqlite.directory import SqliteDirectory
from carillon.tuning.patch import limits

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
    )


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


def files(settings: Settings, client: httpx.AsyncClient) -> Files:
    """Where attachments are fetched from."""
    if settings.files.url is not None:
        return FileService(client, settings.files.url, timeout=settings.directory.timeout)
    if settings.files.directory is not None:
        return FilesDirectory(settings.files.directory)
    return NoFiles()


def checks(settings: Settings, rooms: Ports) -> dict[str, Check]:
    """What a check-up asks of where things are read from, as far as there is such a place."""
    found = {"directory": asking(rooms.directory.check)}
    if settings.files.url is not None or settings.files.directory is not None:
        found["files"] = asking(rooms.files.check)
    return found


@dataclass(frozen=True, slots=True)
class Beside:
    """What some providers need: who keeps what was handed over, and who hears the sandbox."""

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
    for name, section in settings.providers.items():
        provider = _provider(section, settings, Http1Wire(tls), beside)
        stack.push_async_callback(provider.aclose)
        made[name] = Guard(name, provider, limits(section, {}), observe)
    return made


def channels(settings: Settings, made: Mapping[str, Guard]) -> list[ChannelSpec]:
    """One specification an active channel."""
    return [_channel(name, settings, made) for name in settings.active_channels]


def _channel(name: Channel, settings: Settings, made: Mapping[str, Guard]) -> ChannelSpec:
    choices = settings.channels[name].providers
    return ChannelSpec(name, Route([Choice(made[one.name], one.weight) for one in choices]))


def _provider(
    section: ProviderSettings,
    settings: Settings,
    wire: Wire,
    beside: Beside,
) -> Provider:
    match section.type:
        case "mail-service":
            return MailService(section.url or "", wire)
        case "sms-service":
            return SmsService(section.url or "", wire)
        case "kaleyra":
            return _kaleyra(section, wire)
        case "firebase":
            return _firebase(section, settings.android_intent_action, wire)
        case "sandbox":
            return Sandbox(_rehearsal(section.options), beside.on_sandbox_message)
        case "kafka2firebase":
            return push_topic(settings, section, beside.handovers)
    assert_never(section.type)


def _kaleyra(section: ProviderSettings, wire: Wire) -> Kaleyra:
    credentials, options = section.credentials, section.options
    if not isinstance(credentials, KaleyraCredentials):
        raise ConfigurationError([f"providers.{section.name}.credentials are missing"])
    if not isinstance(options, KaleyraOptions):
        options = KaleyraOptions()
    return Kaleyra(
        section.url or "",
        credentials.sid,
        credentials.api_key.reveal(),
        wire,
        target=options.target,
        fields=options.fields,
    )


def _firebase(section: ProviderSettings, click_action: str, wire: Wire) -> Firebase:
    account = service_account(section)
    return Firebase(account, wire, url=section.url or FCM_URL, click_action=click_action)


def _rehearsal(options: object) -> Rehearsal:
    if not isinstance(options, SandboxOptions):
        return Rehearsal()
    return Rehearsal(
        latency=options.latency,
        refuse=options.refuse,
        fail=options.fail,
        throttle=options.throttle,
        lose=options.lose,
    )
