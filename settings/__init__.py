"""Environment and configuration file in, `Settings` out: the only reader of `os.environ`."""

from settings.advice import advice
from settings.environment import VARIABLES
from settings.errors import ConfigurationError
from settings.loading import from_document, load
from settings.model import (
    ChannelSettings,
    DirectorySettings,
    FilesSettings,
    FirebaseCredentials,
    FlowManagerSettings,
    JournalSettings,
    KaleyraCredentials,
    KaleyraOptions,
    Limits,
    MetadataSchema,
    ProviderChoice,
    ProviderSettings,
    ProviderType,
    SandboxOptions,
    ServerSettings,
    Settings,
)
from settings.schema import schema
from settings.secret import Secret
from settings.surroundings import ClientSettings, client, store_path

__all__ = [
    "VARIABLES",
    "ChannelSettings",
    "ClientSettings",
    "ConfigurationError",
    "DirectorySettings",
    "FilesSettings",
    "FirebaseCredentials",
    "FlowManagerSettings",
    "JournalSettings",
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
    "advice",
    "client",
    "from_document",
    "load",
    "schema",
    "store_path",
]
