"""What a configuration says that nothing comes of."""

from __future__ import annotations

from collections.abc import Collection

from carillon.providers.registry import PLUGINS
from carillon.settings.file.keys import FileKeys


def unusable_plugins() -> tuple[str, ...]:
    """One sentence for each package that would bring a type of provider, and is at fault."""
    return tuple(PLUGINS.broken.values())


def unused_providers(keys: FileKeys, in_use: Collection[str]) -> tuple[str, ...]:
    """One sentence for each section of a provider that no active channel uses."""
    return tuple(
        f"providers.{name} is not used by any active channel"
        for name in keys.providers
        if name not in in_use
    )
