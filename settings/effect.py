"""What a configuration may say already although this version does nothing with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from settings.keys import FileKeys

_LATER_SECTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "flow_manager_configuration": "flowManagerConfiguration",
    }
)


def without_effect(keys: FileKeys) -> tuple[str, ...]:
    """One sentence for each key and variable that is set and has no effect yet."""
    return tuple(
        f"{key} is accepted but has no effect in this version"
        for field, key in _LATER_SECTIONS.items()
        if field in keys.model_fields_set
    )


def unused_providers(keys: FileKeys, in_use: Collection[str]) -> tuple[str, ...]:
    """One sentence for each section of a provider that no active channel uses."""
    return tuple(
        f"providers.{name} is not used by any active channel"
        for name in keys.providers
        if name not in in_use
    )
