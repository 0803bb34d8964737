"""Environment and configuration file in, `Settings` out: the only reader of `os.environ`."""

from carillon.messages.secret import Secret
from carillon.sagas.command import MetadataSchema
from carillon.settings.access import key_record, parse_expiry, parse_key_id, parse_keys
from carillon.settings.advice import advice, persistence
from carillon.settings.environment import VARIABLES
from carillon.settings.errors import ConfigurationError
from carillon.settings.exposure import writable_by_others
from carillon.settings.file.schema import schema
from carillon.settings.loading import from_document, load, user_fields
from carillon.settings.model import (
    AccessSettings,
    ChannelSettings,
    DirectorySettings,
    FilesSettings,
    FlowManagerSettings,
    JournalSettings,
    KafkaSettings,
    Limits,
    ProviderChoice,
    ProviderSettings,
    ServerSettings,
    Settings,
    StreamSettings,
    TokenPlace,
)
from carillon.settings.operator_token import state_folder
from carillon.settings.surroundings import ClientSettings, client, store
from carillon.settings.urls import is_own_machine
from carillon.settings.watching import ConfigurationFile

__all__ = [
    "VARIABLES",
    "AccessSettings",
    "ChannelSettings",
    "ClientSettings",
    "ConfigurationError",
    "ConfigurationFile",
    "DirectorySettings",
    "FilesSettings",
    "FlowManagerSettings",
    "JournalSettings",
    "KafkaSettings",
    "Limits",
    "MetadataSchema",
    "ProviderChoice",
    "ProviderSettings",
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
