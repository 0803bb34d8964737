"""The services that a configuration has called over HTTP, by their keys, else by their names."""

from __future__ import annotations

from collections.abc import Mapping

from carillon.providers.registry import PLUGINS
from carillon.settings.file.opening import read_start
from carillon.settings.model import ProviderSettings, Settings


def _called(provider: ProviderSettings) -> Mapping[str, str]:
    """Those of a provider; none of a plug-in that fails, as its `check` and `build` say why."""
    try:
        return provider.config.addresses(read_start)
    except Exception:
        if provider.type in PLUGINS.types:
            return {}
        raise


def addresses(settings: Settings) -> Mapping[str, str]:
    """Absolute URLs by the key that names them, else by the name of the service."""
    flow = settings.flow_manager
    found = {
        "CRUD Service": settings.directory.crud_url,
        "file service": settings.files.url,
        "flowManagerConfiguration.serviceUrl": None if flow is None else flow.service_url,
    }
    for name, provider in settings.providers.items():
        called = _called(provider)
        found |= {f"providers.{name}.{key}": url for key, url in called.items()}
    return {key: url for key, url in found.items() if url}
