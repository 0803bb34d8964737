"""Client of a service's routes for providers, with typed values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic.alias_generators import to_camel

from carillon.cli.service_client import Connection
from carillon.messages.model import Document
from carillon.settings import ClientSettings

_PAGE: Final = 100


class ServiceAnswer(BaseModel):
    """A service's answer; keeps unknown fields, so that `--json` shows everything."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", alias_generator=to_camel)

    @property
    def document(self) -> Document:
        """The answer as the service sent it."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Setting(ServiceAnswer):
    """A value in force, and whether it is the default, the file's or an override."""

    value: JsonValue
    source: str

    @property
    def is_override(self) -> bool:
        """Whether an operator set it while the service ran."""
        return self.source == "override"


class WaitingAnswer(ServiceAnswer):
    """What waits for a provider: seconds, and the reason why the next call must."""

    deliveries: int
    oldest: float
    why: str | None
    opens_in: float | None


class WindowAnswer(ServiceAnswer):
    """Calls that count in a window now; `per` is a duration as people write it."""

    limit: int
    per: str
    used: int


class QuotaAnswer(ServiceAnswer):
    """What is left of a quota, and until when."""

    limit: int
    left: int
    resets_at: str | None


class BreakerAnswer(ServiceAnswer):
    """The breaker's state and the transient failures in a row."""

    state: str
    failures: int


class ErrorAnswer(ServiceAnswer):
    """How many errors of a kind there were, and the last of them."""

    kind: str
    count: int
    text: str
    at: str


class ProviderAnswer(ServiceAnswer):
    """One provider: its settings by the configuration's key names, and what it is doing."""

    name: str
    type: str
    channels: Sequence[str]
    state: str
    settings: Mapping[str, Setting]
    waiting: WaitingAnswer
    in_flight: int
    rate: Sequence[WindowAnswer]
    quota: QuotaAnswer | None
    breaker: BreakerAnswer
    errors: Sequence[ErrorAnswer]

    def value(self, key: str) -> JsonValue:
        """The value in force under a key; None if there is none."""
        setting = self.settings.get(key)
        return None if setting is None else setting.value

    @property
    def overrides(self) -> list[str]:
        """The keys that operators set while the service ran."""
        return [key for key, setting in self.settings.items() if setting.is_override]


class ConfigurationAnswer(ServiceAnswer):
    """When the file in force was read, why a newer one was refused, and what of it must wait."""

    loaded_at: str
    error: str | None
    at_next_start: Sequence[str] = ()


class ProvidersAnswer(ServiceAnswer):
    """All providers."""

    configuration: ConfigurationAnswer
    providers: Sequence[ProviderAnswer]


class EntryAnswer(ServiceAnswer):
    """Who changed what, and when."""

    at: str
    who: str
    action: str
    provider: str | None
    before: JsonValue
    after: JsonValue


class _AuditAnswer(ServiceAnswer):
    entries: Sequence[EntryAnswer]
    next: str | None


class Providers:
    """The providers of a running service. Every method raises as `Connection` does."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> ProvidersAnswer:
        """Every provider."""
        return self._connection.ask("/providers", ProvidersAnswer)

    def one(self, name: str) -> ProviderAnswer:
        """The provider of that name."""
        return self._connection.ask(_path(name), ProviderAnswer)

    def change(self, name: str, patch: Document) -> ProviderAnswer:
        """Apply a patch, all of it or nothing; returns the provider as it is then."""
        return self._connection.tell("PATCH", _path(name), ProviderAnswer, patch)

    def reset(self, name: str) -> ProviderAnswer:
        """Remove every override; the provider as it is then."""
        return self._connection.tell("DELETE", f"{_path(name)}/override", ProviderAnswer)

    def audit(self, name: str | None, limit: int) -> Iterator[EntryAnswer]:
        """At most `limit` changes, the latest first; 0 means all."""
        query = {} if name is None else {"provider": name}
        told = 0
        while True:
            query["limit"] = str(min(limit - told, _PAGE) if limit else _PAGE)
            page = self._connection.ask("/audit", _AuditAnswer, query)
            yield from page.entries
            told += len(page.entries)
            if page.next is None or 0 < limit <= told:
                return
            query["cursor"] = page.next


@contextmanager
def providers_of(service: ClientSettings) -> Iterator[Providers]:
    """The providers of a service, over one connection that stays open for the block."""
    connection = Connection(service)
    try:
        yield Providers(connection)
    finally:
        connection.close()


def _path(name: str) -> str:
    return f"/providers/{quote(name, safe='')}"
