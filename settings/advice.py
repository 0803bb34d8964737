"""What an operator may want to set: nothing here is wrong, and nothing of it stops the start."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from carillon.messages.durations import written
from carillon.messages.retry import ceiling
from carillon.settings.exposure import readable_by_others
from carillon.settings.model import ProviderSettings, Settings

_GATEWAY_TIMEOUT: Final = 60.0
_GRACE_PERIOD: Final = 30.0
_DAY: Final = 86_400.0


def advice(settings: Settings) -> list[str]:
    """Sentences for `config check`."""
    return [
        *filter(None, map(_rate, settings.providers.values())),
        *_retention(settings),
        *_templates(settings),
        *_times(settings),
        *_events(settings),
        *_keys(settings),
        *readable_by_others(settings),
    ]


@dataclass(frozen=True, slots=True)
class Persistence:
    """How long a provider tries one message: the seconds between its calls, drawn at random.

    Calls themselves take up to `timeout` seconds each; rates, quotas and pauses come on top.
    """

    provider: str
    attempts: int
    at_most: float
    on_average: float
    timeout: float

    def __str__(self) -> str:
        if self.attempts == 1:
            return f"{self.provider} calls once for a message, for {written(self.timeout)} at most"
        return (
            f"{self.provider} calls {self.attempts} times for a message at most: the waits between "
            f"take {self.at_most:.4g} s at most and {self.on_average:.4g} s on average, each call "
            f"{written(self.timeout)} at most"
        )


def persistence(settings: Settings) -> list[Persistence]:
    """How long each provider tries a message before it is given up."""
    return [_persistence(provider) for provider in settings.providers.values()]


def _persistence(provider: ProviderSettings) -> Persistence:
    retry = provider.retry
    waits = [
        ceiling(attempt, retry.first_delay, retry.max_delay) for attempt in range(1, retry.attempts)
    ]
    most = sum(waits)
    return Persistence(provider.name, retry.attempts, most, most / 2, provider.timeout)


def _rate(provider: ProviderSettings) -> str | None:
    documented = provider.config.facts.documented
    if provider.rate or documented is None:
        return None
    return (
        f"providers.{provider.name}.rate is open; {documented.why}: "
        f'consider "rate": [{{"limit": {documented.limit}, "per": "{documented.per}"}}]'
    )


def _retention(settings: Settings) -> Iterator[str]:
    kept = settings.rows_kept
    for provider in settings.providers.values():
        longest = max((rate.per for rate in provider.rate), default=0.0)
        counts = {"rate": longest, "quota": 0.0 if provider.quota is None else _DAY}
        for key, seconds in counts.items():
            if seconds > kept:
                yield (
                    f"journal.retention is {written(settings.journal.retention)}, but "
                    f"providers.{provider.name}.{key} counts calls for {written(seconds)}: they "
                    "are kept as long, by time and provider, without the deliveries' rows"
                )


def _templates(settings: Settings) -> Iterator[str]:
    directory = settings.directory
    if directory.crud_url and not directory.templates_collection:
        yield "TEMPLATES_CRUD_NAME is not set: every request with a templateId is answered 400"


def _times(settings: Settings) -> Iterator[str]:
    patience = settings.respond_within
    if patience >= _GATEWAY_TIMEOUT:
        shown = "0 (for ever)" if math.isinf(patience) else written(patience)
        yield (
            f"respondWithin is {shown}; most gateways give up after {written(_GATEWAY_TIMEOUT)}, "
            "and callers then repeat what is still being sent"
        )
    stop = settings.drain + settings.server.wait_before_close
    if settings.server.in_cluster and stop > _GRACE_PERIOD:
        yield (
            f"stopping may take {written(stop)} (WAIT_BEFORE_SERVER_CLOSE_SEC and drain), but "
            f"Kubernetes kills after {written(_GRACE_PERIOD)} by default: "
            "raise terminationGracePeriodSeconds"
        )


def _keys(settings: Settings) -> Iterator[str]:
    if settings.access.keys:
        return
    operators = (
        "the routes of operators are off"
        if settings.server.in_cluster
        else "operators need the token in a file of the service's user"
    )
    yield (
        "API_KEYS and API_KEYS_FILE are not set: whoever reaches the service can send, and "
        f"{operators}; `carillon keys new` makes keys"
    )


def _events(settings: Settings) -> Iterator[str]:
    flow = settings.flow_manager
    if flow is None:
        return
    if not flow.tells:
        yield "flowManagerConfiguration.serviceUrl is not set: sagas get no events, only answers"
        return
    for key, label in (
        ("successEventLabel", flow.success_event_label),
        ("failEventLabel", flow.fail_event_label),
    ):
        if label is None:
            yield f"flowManagerConfiguration.{key} is not set: a saga that waits for it stalls"
