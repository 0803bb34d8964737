"""The types of providers, a line each: `module:class`, as entry points are written.

They stand in the order in which a channel tries those that the environment configures. Other
packages bring more of them: see `plugins`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

from carillon.providers.config import ProviderConfig, ProviderType, name_of
from carillon.providers.plugins import installed, plugins

_PLACES: Final = (
    "carillon.providers.mail_service:MailServiceConfig",
    "carillon.providers.sms_service:SmsServiceConfig",
    "carillon.providers.twilio:TwilioConfig",
    "carillon.providers.vonage:VonageConfig",
    "carillon.providers.kaleyra:KaleyraConfig",
    "carillon.providers.kafka2firebase:Kafka2FirebaseConfig",
    "carillon.providers.firebase.provider:FirebaseConfig",
    "carillon.providers.http.config:HttpConfig",
    "carillon.providers.smtp.provider:SmtpConfig",
    "carillon.providers.ses.provider:SesConfig",
    "carillon.providers.sandbox:SandboxConfig",
)


def registered(places: Iterable[str]) -> Mapping[str, ProviderType]:
    """Types by their names.

    Raises:
        TypeError: a place holds no type of provider, or a name is taken.
    """
    found: dict[str, ProviderType] = {}
    for place in places:
        kind = _at(place)
        if found.setdefault(name_of(kind), kind) is not kind:
            raise TypeError(f"{place}: there is another type {name_of(kind)}")
    return MappingProxyType(found)


def _at(place: str) -> ProviderType:
    module, _, name = place.partition(":")
    kind: object = getattr(import_module(module), name)
    if not (isinstance(kind, type) and issubclass(kind, ProviderConfig)):
        raise TypeError(f"{place} is no type of provider")
    return kind


BUILT_IN: Final = registered(_PLACES)
PLUGINS: Final = plugins(installed(), BUILT_IN)
TYPES: Final[Mapping[str, ProviderType]] = MappingProxyType({**BUILT_IN, **PLUGINS.types})
"""Ours first, then those of plug-ins by their names."""
