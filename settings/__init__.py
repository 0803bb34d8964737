"""Environment and configuration file in, `Settings` out: the only reader of `os.environ`."""

from messages.saga.command import MetadataSchema
from settings.access import key_record, parse_expiry, parse_key_id, parse_keys
from settings.advice import advice
from settings.environment import VARIABLES
from settings.errors import ConfigurationError
from settings.loading import from_document, load
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
)
from settings.schema import schema
from settings.secret import Secret
from settings.surroundings import ClientSettings, client, store
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
    "advice",
    "client",
    "from_document",
    "key_record",
    "load",
    "parse_expiry",
    "parse_key_id",
    "parse_keys",
    "schema",
    "store",
]
