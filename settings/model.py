"""The settings as the rest of the service sees them: plain, frozen, every default filled in.

Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from carillon.access.keys import ApiKey
from carillon.actors.provider.breaker import BreakerSettings
from carillon.actors.provider.limits import Retry
from carillon.actors.provider.quota import Quota
from carillon.actors.provider.rate_limit import Rate
from carillon.handlebars import Limits as TemplateLimits
from carillon.kafka.connection import KafkaConnection
from carillon.messages.model import Channel, UserFields
from carillon.providers.config import ProviderConfig
from carillon.providers.limit_keys import OnUnknownOutcome
from carillon.sagas.command import MetadataSchema
from carillon.stores.mongodb.url import MongoUrl

LogFormat = Literal["json", "text"]
LogLevel = Literal["trace", "debug", "info", "warn", "error", "fatal", "silent"]
Fsync = Literal["commit", "process"]
EventPayload = Literal["empty", "summary"]
StartAt = Literal["latest", "earliest"]


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One provider that an active channel uses.

    `config` has the keys of its type, each that is needed with a value. `named` are the limits
    that the file's section has, as they are spelt there.
    """

    name: str
    config: ProviderConfig
    concurrency: int
    rate: tuple[Rate, ...]
    quota: Quota | None
    timeout: float
    retry: Retry
    breaker: BreakerSettings
    on_unknown_outcome: OnUnknownOutcome
    named: frozenset[str] = frozenset()

    @property
    def type(self) -> str:
        """What the type is called."""
        return self.config.type


@dataclass(frozen=True, slots=True)
class ProviderChoice:
    """A provider of a channel: with a weight it shares the load, without it is tried in order."""

    name: str
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """The providers of a channel, first choice first, and how long a message is worth sending."""

    providers: tuple[ProviderChoice, ...]
    time_to_live: float | None = None


@dataclass(frozen=True, slots=True)
class DirectorySettings:
    """Where users and templates are read: the CRUD Service when it has a URL, else the store.

    The store is MongoDB when that has a URL, else the file.
    """

    crud_url: str | None
    users_collection: str | None
    templates_collection: str | None
    store_path: Path
    timeout: float = 10.0
    attempts: int = 3
    mongodb: MongoUrl | None = None


@dataclass(frozen=True, slots=True)
class FilesSettings:
    """Where attachments are read: the file service when it has a URL, else the folder if any."""

    url: str | None
    directory: Path | None


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the service listens, logs and stops; port 0 is any free one.

    `prefix` is empty or begins with a slash and ends without one.
    """

    host: str = "127.0.0.1"
    port: int = 3000
    prefix: str = ""
    log_level: LogLevel = "info"
    wait_before_close: float = 0.0
    in_cluster: bool = False
    h2c: bool = False
    log_format: LogFormat = "json"


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """Where the operator token is: in a file, else in one of the user's state folder by port."""

    file: Path | None = None
    state_folder: Path | None = None

    def at(self, port: int) -> Path | None:
        """The file of the service on a port; None where there is no place for one."""
        if self.file is not None or self.state_folder is None:
            return self.file
        return self.state_folder / f"operator-token-{port}"


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """The API keys that are valid at the start; without any, none is asked for."""

    keys: tuple[ApiKey, ...] = ()
    keys_file: Path | None = None
    token_place: TokenPlace = TokenPlace()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what one process takes on."""

    body_bytes: int = 16_777_216
    open_dispatches: int = 1000
    failures: int = 10_000
    connections: int = 2000
    values: int = 100_000


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """How durable the journal is, what it keeps, and for how long."""

    fsync: Fsync = "commit"
    keep_content: bool = False
    retention: float = 2_592_000.0


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """The brokers."""

    connection: KafkaConnection


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """The topics of a Flow Manager; without `labels` every command is for this service."""

    commands_topic: str | None = None
    events_topic: str | None = None
    group_id: str = "carillon"
    labels: tuple[str, ...] | None = None
    start_at: StartAt = "latest"
    session_timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class FlowManagerSettings:
    """How sagas are understood and answered.

    `success_policy` is a share when it is a number. `respond_within` is infinite for `0`.
    """

    metadata_schema: MetadataSchema
    service_url: str | None = None
    success_event_label: str | None = None
    fail_event_label: str | None = None
    template_id_file: Path | None = None
    data_file: Path | None = None
    respond_within: float = 25.0
    success_policy: Literal["started", "all", "any"] | float = "started"
    event_payload: EventPayload = "empty"
    repeat_window: float | None = None
    stream: StreamSettings | None = None

    @property
    def tells(self) -> bool:
        """Whether events have somewhere to go."""
        topic = None if self.stream is None else self.stream.events_topic
        return self.service_url is not None or topic is not None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is configured. `respond_within` is infinite for `0`.

    `senders` and `channels` hold the active channels, `providers` those that these use. `file` is
    the one that they were read from.
    """

    active_channels: tuple[Channel, ...]
    senders: Mapping[Channel, str]
    user_fields: UserFields
    providers: Mapping[str, ProviderSettings]
    channels: Mapping[Channel, ChannelSettings]
    directory: DirectorySettings
    files: FilesSettings
    server: ServerSettings
    access: AccessSettings
    respond_within: float
    drain: float
    escape_everywhere: bool
    limits: Limits
    template_limits: TemplateLimits
    idempotency_expiry: float
    journal: JournalSettings
    android_intent_action: str
    default_locale: str
    flow_manager: FlowManagerSettings | None
    warnings: tuple[str, ...]
    kafka: KafkaSettings | None = None
    file: Path | None = field(default=None, compare=False)

    @property
    def rows_kept(self) -> float:
        """For how many seconds rows of what ended stay: no key may outlive its dispatch."""
        return max(self.journal.retention, self.idempotency_expiry)
