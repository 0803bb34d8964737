"""Environment and configuration file in, `Settings` out: the only reader of `os.environ`."""

from messages.saga.command import MetadataSchema
from settings.access import key_record, parse_expiry, parse_key_id, parse_keys
from settings.advice import advice, persistence
from settings.environment import VARIABLES
from settings.errors import ConfigurationError
from settings.exposure import writable_by_others
from settings.loading import from_document, load, user_fields
from settings.model import (
    AccessSettings,
    ChannelSettings,
    DirectorySettings,
    FilesSettings,
    FirebaseCredentials,
    FlowManagerSettings,
    JournalSettings,
    KafkaSettings,
    KaleyraCredentials,
    KaleyraOptions,
    Limits,
    ProviderChoice,
    ProviderSettings,
    ProviderType,
    SandboxOptions,
    ServerSettings,
    Settings,
    StreamSettings,
    TokenPlace,
)
from settings.operator_token import state_folder
from settings.schema import schema
from settings.secret import Secret
from settings.surroundings import ClientSettings, client, store
from settings.urls import is_own_machine
from settings.watching import ConfigurationFile

__all__ = [
    "VARIABLES",
    "AccessSettings",
    "ChannelSettings",
    "ClientSettings",
    "ConfigurationError",
    "ConfigurationFile",
    "DirectorySettings",
    "FilesSettings",
    "FirebaseCredentials",
    "FlowManagerSettings",
    "JournalSettings",
    "KafkaSettings",
    "KaleyraCredentials",
    "KaleyraOptions",
    "Limits",
    "MetadataSchema",
    "ProviderChoice",
    "ProviderSettings",
    "ProviderType",
    "SandboxOptions",
    "Secret",
    "ServerSettings",
    "Settings",
    "StreamSettings",
    "TokenPlace",
    "advice",
    "client",
    "from_document",
    "is_own_machine",
    "key_record",
    "load",
    "parse_expiry",
    "parse_key_id",
    "parse_keys",
    "persistence",
    "schema",
    "state_folder",
    "store",
    "user_fields",
    "writable_by_others",
]
