"""What a configuration says that nothing comes of."""

from __future__ import annotations

from collections.abc import Collection

from carillon.settings.file.keys import FileKeys


def unused_providers(keys: FileKeys, in_use: Collection[str]) -> tuple[str, ...]:
    """One sentence for each section of a provider that no active channel uses."""
    return tuple(
        f"providers.{name} is not used by any active channel"
        for name in keys.providers
        if name not in in_use
    )
