"""A new configuration for a running service: what applies at once, and what needs a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from carillon.messages.model import Channel
from carillon.providers.config import fixed_keys
from carillon.settings.model import ChannelSettings, ProviderSettings, Settings

_FIXED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "active_channels": "activeChannels",
        "senders": "sender",
        "user_fields": "userFields",
        "directory": "directory",
        "respond_within": "respondWithin",
        "drain": "drain",
        "escape_everywhere": "escaping",
        "limits": "limits",
        "template_limits": "templates",
        "idempotency_expiry": "idempotency",
        "journal": "journal",
        "android_intent_action": "androidIntentAction",
        "flow_manager": "flowManagerConfiguration",
    }
)


def at_next_start(started: Settings, new: Settings) -> list[str]:
    """The keys of the new settings that take effect only when the service starts again."""
    return [
        *(key for field, key in _FIXED.items() if getattr(started, field) != getattr(new, field)),
        *(["API_KEYS_FILE"] if started.access.keys and not new.access.keys else []),
        *_of_providers(started, new),
        *(
            f"channels.{name}.providers"
            for name, section in new.channels.items()
            if name in started.channels and not _is_carried(section, started.providers)
        ),
    ]


def followed_providers(
    running: Mapping[str, ProviderSettings], new: Settings
) -> dict[str, ProviderSettings]:
    """The running providers as the new settings limit them; those of another type stay."""
    followed: dict[str, ProviderSettings] = {}
    for name, section in running.items():
        other = new.providers.get(name, section)
        followed[name] = other if other.type == section.type else section
    return followed


def followed_channels(
    running: Mapping[Channel, ChannelSettings],
    providers: Mapping[str, ProviderSettings],
    new: Settings,
) -> dict[Channel, ChannelSettings]:
    """The running channels as the new settings carry them, where every provider is running."""
    followed: dict[Channel, ChannelSettings] = {}
    for name, section in running.items():
        other = new.channels.get(name, section)
        choices = other.providers if _is_carried(other, providers) else section.providers
        followed[name] = ChannelSettings(choices, other.time_to_live)
    return followed


def _is_carried(section: ChannelSettings, providers: Mapping[str, ProviderSettings]) -> bool:
    return all(choice.name in providers for choice in section.providers)


def _of_providers(started: Settings, new: Settings) -> Iterator[str]:
    for name, section in started.providers.items():
        other = new.providers.get(name, section)
        before, after = fixed_keys(section.config), fixed_keys(other.config)
        for key in {**after, **before}:
            if before.get(key) != after.get(key):
                yield f"providers.{name}.{key}"
