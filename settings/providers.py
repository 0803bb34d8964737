"""The sections of the providers in use, completed from the environment and the type's defaults."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from carillon.actors.provider.breaker import BreakerSettings
from carillon.actors.provider.limits import Retry
from carillon.actors.provider.quota import Quota
from carillon.actors.provider.rate_limit import Rate
from carillon.messages.json_keys import Place
from carillon.settings.channels import type_of
from carillon.settings.environment import Environment
from carillon.settings.errors import nearest
from carillon.settings.file.provider_keys import (
    BreakerKeys,
    LimitKeys,
    OptionKeys,
    ProviderKeys,
    QuotaKeys,
    RateKeys,
    RetryKeys,
)
from carillon.settings.file.values import token
from carillon.settings.kinds import KINDS, Kind
from carillon.settings.model import (
    Credentials,
    FirebaseCredentials,
    KaleyraCredentials,
    KaleyraOptions,
    Options,
    ProviderSettings,
    ProviderType,
    SandboxOptions,
)
from carillon.settings.secret import Secret
from carillon.settings.urls import base_url, service_url

if TYPE_CHECKING:
    from pydantic import BaseModel


_WITHOUT_ADDRESS: Final[Mapping[str, str]] = {
    "sandbox": "a sandbox has no address",
    "kafka2firebase": "KAFKA_BROKERS says where Kafka is",
}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_sections(sections: Mapping[str, ProviderKeys], env: Environment) -> None:
    """Note what is wrong with any section, used or not: its type, keys its type does not know."""
    for name, section in sections.items():
        place = ("providers", name)
        if not _NAME.fullmatch(name):
            env.problems.add(place, "a provider's name is 1 to 64 letters, digits, '.', '_', '-'")
        kind = type_of(name, sections)
        if kind is None:
            hint = nearest(name, KINDS)
            env.problems.add((*place, "type"), f"is missing, and the name is no type; {hint}")
            continue
        _check_keys(
            (*place, "credentials"), kind, section.credentials, KINDS[kind].credentials, env
        )
        _check_keys((*place, "options"), kind, section.options, KINDS[kind].options, env)
        if section.url is not None and kind in _WITHOUT_ADDRESS:
            env.problems.add((*place, "url"), _WITHOUT_ADDRESS[kind])


def providers(
    names: Iterable[str], sections: Mapping[str, ProviderKeys], env: Environment
) -> Mapping[str, ProviderSettings]:
    """The settings of these providers."""
    found: dict[str, ProviderSettings] = {}
    for name in dict.fromkeys(names):
        kind = type_of(name, sections)
        if kind is not None:
            section = sections.get(name, ProviderKeys())
            found[name] = _provider(name, kind, section, env)
    return found


def _check_keys(
    place: Place, kind: ProviderType, section: BaseModel, known: Iterable[str], env: Environment
) -> None:
    fields = type(section).model_fields
    allowed = [fields[name].alias or name for name in known]
    for key in _named(section):
        if key not in allowed:
            names = ", ".join(allowed) or "none"
            env.problems.add((*place, key), f"{kind} does not know this key; allowed: {names}")


def _provider(
    name: str, kind: ProviderType, keys: ProviderKeys, env: Environment
) -> ProviderSettings:
    return ProviderSettings(
        name=name,
        type=kind,
        url=_url(name, KINDS[kind], keys, env),
        credentials=_credentials(name, kind, keys, env),
        options=_options(kind, keys.options),
        concurrency=keys.concurrency,
        rate=_rate(keys.rate),
        quota=_quota(keys.quota),
        timeout=keys.timeout,
        retry=_retry(keys.retry),
        breaker=_breaker(keys.breaker),
        on_unknown_outcome=keys.on_unknown_outcome or KINDS[kind].on_unknown_outcome,
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


def _url(name: str, kind: Kind, keys: ProviderKeys, env: Environment) -> str | None:
    if keys.url is not None:
        return keys.url
    found = kind.url
    for variable in kind.addresses:
        convert = service_url if variable.endswith("_NAME") else base_url
        found = env.maybe(variable, convert) or found
    if kind.addresses and not env.has(*kind.addresses):
        needed = f"is missing; set it or {' or '.join(kind.addresses)}"
        env.problems.add(("providers", name, "url"), needed)
    return found


def _credentials(
    name: str, kind: ProviderType, keys: ProviderKeys, env: Environment
) -> Credentials | None:
    place = ("providers", name, "credentials")
    given = keys.credentials
    if kind == "kaleyra":
        accounts = ("KALEYRA_SID", "KALEYRA_API_SID")
        key = _required((*place, "apiKey"), given.api_key, env, token, "KALEYRA_API_KEY")
        sid = _required((*place, "sid"), given.sid, env, token, *accounts)
        return KaleyraCredentials(Secret(key), sid)
    if kind == "firebase":
        variable = "GOOGLE_APPLICATION_CREDENTIALS"
        file = Path(_required((*place, "file"), given.file, env, str, variable))
        if not _is_file(file):
            source = (variable,) if given.file is None else (*place, "file")
            env.problems.add(source, "names no file that exists")
        return FirebaseCredentials(file)
    return None


def _required(
    place: Place,
    given: str | None,
    env: Environment,
    convert: Callable[[str], str],
    *variables: str,
) -> str:
    found = given or next(filter(None, (env.maybe(name, convert) for name in variables)), None)
    if found is None and not env.has(*variables):
        env.problems.add(place, f"is missing; set it or {' or '.join(variables)}")
    return found or ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _options(kind: ProviderType, keys: OptionKeys) -> Options | None:
    if kind == "kaleyra":
        return KaleyraOptions(keys.target, keys.fields)
    if kind != "sandbox":
        return None
    return SandboxOptions(
        latency=keys.latency,
        refuse=keys.refuse,
        throttle=keys.throttle,
        fail=keys.fail,
        lose=keys.lose,
    )


def _named(section: BaseModel) -> list[str]:
    """The keys that were written, as they are spelt in the file."""
    fields = type(section).model_fields
    return [fields[name].alias or name for name in section.model_fields_set]


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
