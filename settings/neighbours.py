"""Who is called over HTTP as a configuration says, by the keys that say so, else by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from carillon.settings.model import ProviderSettings, Settings

TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
"""Where Google gives tokens, unless the account of Firebase names another place."""


def addresses(settings: Settings) -> Mapping[str, str]:
    """Absolute URLs by the key that names them, else by the name of the service."""
    flow = settings.flow_manager
    found = {
        "CRUD Service": settings.directory.crud_url,
        "file service": settings.files.url,
        "flowManagerConfiguration.serviceUrl": None if flow is None else flow.service_url,
    }
    for provider in settings.providers.values():
        found |= _of_provider(provider)
    return {key: url for key, url in found.items() if url}


def _of_provider(provider: ProviderSettings) -> Mapping[str, str | None]:
    key = f"providers.{provider.name}"
    if provider.type == "firebase":
        return {f"{key}.url": provider.url, f"{key}.credentials.file": TOKEN_URI}
    return {f"{key}.url": provider.url}
