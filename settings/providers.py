"""The sections of the providers in use, completed from the environment and the type's defaults."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Final, TypeVar

from carillon.actors.provider.breaker import BreakerSettings
from carillon.actors.provider.limits import Retry
from carillon.actors.provider.quota import Quota
from carillon.actors.provider.rate_limit import Rate
from carillon.messages.json_keys import Place
from carillon.providers.config import (
    MakeEngine,
    Needed,
    ProviderConfig,
    needs_of,
    own_keys_first,
)
from carillon.providers.limit_keys import BreakerKeys, LimitKeys, QuotaKeys, RateKeys, RetryKeys
from carillon.providers.plugins import said
from carillon.providers.registry import PLUGINS
from carillon.providers.values import Section
from carillon.settings.environment import Environment
from carillon.settings.errors import ConfigurationError
from carillon.settings.file.opening import read_start
from carillon.settings.file.provider_keys import NAMES
from carillon.settings.model import ProviderSettings, Settings

_NAME: Final = re.compile(NAMES.strip("^$"))
S = TypeVar("S", bound=Section)


def check_names(sections: Iterable[str], env: Environment) -> None:
    """Note each name that no provider may have, used or not."""
    for name in sections:
        if not _NAME.fullmatch(name):
            allowed = "a provider's name is 1 to 64 letters, digits, '.', '_', '-'"
            env.problems.add(("providers", name), allowed)


def check_sections(
    sections: Mapping[str, ProviderConfig], engine: MakeEngine, env: Environment
) -> None:
    """Note what is wrong with sections that no key shows by itself, used or not."""
    for name, section in sections.items():
        try:
            found = [*section.faults(engine)]
        except Exception as error:
            if (fault := plugin_fault(section.type, error)) is None:
                raise
            found = [((), fault)]
        for place, text in found:
            env.problems.add(("providers", name, *place), text)


def providers(
    sections: Mapping[str, ProviderConfig], env: Environment
) -> Mapping[str, ProviderSettings]:
    """The settings of the providers that have these sections."""
    return {name: _provider(name, section, env) for name, section in sections.items()}


def check_providers(settings: Settings) -> None:
    """Look at what providers name. Raises ConfigurationError with all that is wrong."""
    problems: list[str] = []
    for name, provider in settings.providers.items():
        try:
            provider.config.check(read_start)
        except ValueError as error:
            problems.append(f"providers.{name}.{error}")
        except Exception as error:
            if (fault := plugin_fault(provider.type, error)) is None:
                raise
            problems.append(f"providers.{name}: {fault}")
    if problems:
        raise ConfigurationError(problems)


def plugin_fault(kind: str, error: Exception) -> str | None:
    """What is said of an exception that is a bug of a plug-in; None where it is one of ours."""
    if kind not in PLUGINS.types:
        return None
    return f'a fault of the plug-in "{kind}" ({PLUGINS.packages[kind]}): {said(error)}'


def _provider(name: str, keys: ProviderConfig, env: Environment) -> ProviderSettings:
    def variable(called: str, place: Place) -> str | None:
        value = env.text(called)
        if value is None:
            where = ("providers", name, *place)
            env.problems.add(where, f"the environment variable {called} is not set")
        return value

    return ProviderSettings(
        name=name,
        config=_completed(keys, ("providers", name), env).with_variables(variable),
        concurrency=keys.concurrency,
        rate=_rate(keys.rate),
        quota=_quota(keys.quota),
        timeout=keys.timeout,
        retry=_retry(keys.retry),
        breaker=_breaker(keys.breaker),
        on_unknown_outcome=keys.on_unknown_outcome or keys.facts.on_unknown_outcome,
        named=frozenset(_named(keys)),
    )


def overridden(section: ProviderSettings, keys: LimitKeys) -> ProviderSettings:
    """The section with those of its limits replaced that these keys name."""
    given = keys.model_fields_set
    return replace(
        section,
        concurrency=keys.concurrency if "concurrency" in given else section.concurrency,
        rate=_rate(keys.rate) if "rate" in given else section.rate,
        quota=_quota(keys.quota) if "quota" in given else section.quota,
        timeout=keys.timeout if "timeout" in given else section.timeout,
        retry=_retry(keys.retry) if "retry" in given else section.retry,
        breaker=_breaker(keys.breaker) if "breaker" in given else section.breaker,
        on_unknown_outcome=keys.on_unknown_outcome or section.on_unknown_outcome,
    )


def _completed(section: S, place: Place, env: Environment) -> S:
    """The section with what it needs from the environment; what is written stays as it is."""
    kind, values = type(section), dict(section)
    marks = needs_of(kind)
    for name in own_keys_first(kind):
        value, inner = values[name], (*place, kind.model_fields[name].alias or name)
        if isinstance(value, Section):
            values[name] = _completed(value, inner, env)
        elif name in marks and name not in section.model_fields_set:
            values[name] = _from_environment(marks[name], value, inner, env)
        elif isinstance(value, Path):
            _check_file(value, inner, env)
    return kind.model_construct(_fields_set=section.model_fields_set, **values)


def _from_environment(mark: Needed, absent: object, place: Place, env: Environment) -> object:
    found: list[object] = []
    for variable in mark.variables:
        if variable.alias and found:
            continue
        value = env.maybe(variable.name, variable.convert, is_secret=variable.secret)
        if isinstance(value, Path):
            _check_file(value, (variable.name,), env)
        found += [] if value is None else [value]
    names = [variable.name for variable in mark.variables]
    if not env.has(*names) and not mark.optional:
        source = place if mark.in_file else tuple(names[:1])
        env.problems.add(source, _missing(mark, names, place))
    return found[-1] if found else absent


def _missing(mark: Needed, names: Sequence[str], place: Place) -> str:
    if not mark.in_file:
        return f"is missing; providers.{place[1]} needs it"
    return (
        f"is missing; set it or {' or '.join(names)}"
        if names
        else f"is missing; {place[1]} needs it"
    )


def _check_file(file: Path, place: Place, env: Environment) -> None:
    try:
        is_file = file.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        env.problems.add(place, "names no file that exists")


def _named(section: LimitKeys) -> list[str]:
    """The limits that were written, as they are spelt in the file."""
    fields = LimitKeys.model_fields
    return [one.alias or name for name, one in fields.items() if name in section.model_fields_set]


def _rate(keys: Sequence[RateKeys]) -> tuple[Rate, ...]:
    return tuple(Rate(rate.limit, rate.per) for rate in keys)


def _retry(keys: RetryKeys) -> Retry:
    return Retry(keys.attempts, keys.first_delay, keys.max_delay)


def _breaker(keys: BreakerKeys) -> BreakerSettings:
    return BreakerSettings(keys.failures, keys.cooldown)


def _quota(keys: QuotaKeys | None) -> Quota | None:
    if keys is None:
        return None
    return Quota(keys.limit, time.fromisoformat(keys.reset_at), keys.zone)
