"""Live settings: a PATCH held to the rules of the file, and what holds with it and the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pydantic import Field

from carillon.actors.provider.limits import Limits
from carillon.messages.durations import written
from carillon.messages.errors import BadCommand
from carillon.messages.model import Document, JsonValue
from carillon.providers.limit_keys import LimitKeys
from carillon.providers.windows import in_full
from carillon.settings.errors import Problems, nearest
from carillon.settings.file.checking import check_keys
from carillon.settings.file.provider_keys import Weight
from carillon.settings.file.reading import without_nulls
from carillon.settings.providers import overridden

if TYPE_CHECKING:
    from carillon.actors.provider.quota import Quota
    from carillon.settings.model import ProviderSettings


class LiveKeys(LimitKeys):
    """What may be changed of a provider while the service runs."""

    weight: Weight | None = Field(default=None, description="Share of the load on its channels.")
    paused: bool = Field(default=False, description="Start no call; deliveries wait.")
    draining: bool = Field(default=False, description="Take no delivery that is new to it.")


KEYS: Final = tuple(field.alias or name for name, field in LiveKeys.model_fields.items())
"""As they are spelt in the file."""


@dataclass(frozen=True, slots=True)
class Override:
    """What operators set of a provider: as it is stored, and parsed, once, when it is made."""

    written: Document = field(default_factory=dict)
    keys: LiveKeys = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Raises ValidationError for what no rule allows."""
        object.__setattr__(self, "keys", LiveKeys.model_validate(self.written))

    @property
    def weight(self) -> int | None:
        """The weight, which holds on every channel of its provider."""
        return self.keys.weight


@dataclass(frozen=True, slots=True)
class Patch:
    """A valid change: keys with their values, None for keys to be removed."""

    settings: Document
    closes_breaker: bool

    def applied_to(self, override: Override) -> Override:
        """The override that it makes of another."""
        merged = {**override.written, **self.settings}
        return Override({key: value for key, value in merged.items() if value is not None})


def parse_patch(body: object) -> Patch:
    """A change as a caller wrote it.

    Raises:
        BadCommand: With everything that is wrong; then nothing of it may be applied.
    """
    known = ", ".join(KEYS)
    if not isinstance(body, dict):
        raise BadCommand(f"The body must be a JSON object with any of {known}")
    if not body:
        raise BadCommand(f"The body is empty; it may have any of {known}")
    given: Document = dict(body)
    closes_breaker = given.get("breaker") == "closed"
    if closes_breaker:
        del given["breaker"]
    problems = Problems()
    for key in given:
        if key not in KEYS:
            problems.add((key,), f"unknown key; {nearest(key, KEYS)}")
    settings = _without_inner_nulls(given)
    _check({key: value for key, value in settings.items() if value is not None}, problems)
    if problems:
        plain = "An unknown key, or a value that its rule refuses"
        raise BadCommand("; ".join(problems.error().problems), plain)
    if "rate" in settings:
        settings["rate"] = in_full(settings["rate"])  # as every replica reads it
    return Patch(settings, closes_breaker)


def usable(stored: Document) -> tuple[Override, Sequence[str]]:
    """An override without what the rules refuse by now, and why each of that was refused."""
    kept: Document = {}
    refused: list[str] = []
    for key, value in stored.items():
        problems = Problems()
        _check({key: value}, problems)
        if problems:
            refused += problems.error().problems
        else:
            kept[key] = value
    return Override(kept), refused


def limits(section: ProviderSettings, override: Override) -> Limits:
    """What a guard holds to: the file's section under an override."""
    keys = override.keys
    merged = overridden(section, keys)
    return Limits(
        concurrency=merged.concurrency,
        rates=merged.rate,
        quota=merged.quota,
        timeout=merged.timeout,
        retry=merged.retry,
        breaker=merged.breaker,
        on_unknown_outcome=merged.on_unknown_outcome,
        paused=keys.paused,
        draining=keys.draining,
    )


def in_force(
    section: ProviderSettings, weights: Mapping[str, int | None], override: Override
) -> dict[str, Document]:
    """Each key with its value in the file's spelling and where that comes from.

    `weights` are the file's, by channel; where they differ the value is an object of them.
    """
    values = _values(limits(section, override))
    differ = len(set(weights.values())) > 1
    of_file: JsonValue = {**weights} if differ else next(iter(weights.values()), None)
    values["weight"] = of_file if override.weight is None else override.weight
    named = section.named | ({"weight"} if any(weights.values()) else set())
    return {key: {"value": values[key], "source": _source(key, override, named)} for key in KEYS}


def _source(key: str, override: Override, named: frozenset[str]) -> str:
    if key in override.written:
        return "override"
    return "file" if key in named else "default"


def _without_inner_nulls(given: Document) -> Document:
    try:
        return {key: without_nulls(value) for key, value in given.items() if without_nulls(key)}
    except ValueError as error:
        raise BadCommand(f"The body: {error}") from None


def _check(document: Document, problems: Problems) -> None:
    breaker = document.get("breaker")
    if isinstance(breaker, str):  # the schema's own message does not name this text
        problems.refuse(("breaker",), breaker, 'an object, or "closed"')
        document = {key: value for key, value in document.items() if key != "breaker"}
    check_keys(LiveKeys, document, problems, [])


def _values(held: Limits) -> Document:
    retry, breaker = held.retry, held.breaker
    return {
        "concurrency": held.concurrency,
        "rate": [{"limit": rate.limit, "per": written(rate.per)} for rate in held.rates],
        "quota": None if held.quota is None else _quota(held.quota),
        "timeout": written(held.timeout),
        "retry": {
            "attempts": retry.attempts,
            "firstDelay": written(retry.first_delay),
            "maxDelay": written(retry.max_delay),
        },
        "breaker": {"failures": breaker.failures, "cooldown": written(breaker.cooldown)},
        "onUnknownOutcome": held.on_unknown_outcome,
        "paused": held.paused,
        "draining": held.draining,
    }


def _quota(quota: Quota) -> Document:
    at = quota.reset_at.isoformat("minutes")
    return {"limit": quota.limit, "resetAt": at, "zone": quota.zone}
