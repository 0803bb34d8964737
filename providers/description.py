"""The types of providers in words: for the documentation and `carillon providers types`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args, get_origin

from pydantic.fields import FieldInfo

from carillon.messages.model import Channel
from carillon.providers.config import (
    DocumentedRate,
    Needed,
    ProviderType,
    Variable,
    name_of,
    needs,
)
from carillon.providers.config import variables as variables_of
from carillon.providers.limit_keys import LimitKeys, OnUnknownOutcome
from carillon.providers.values import OrText, Section


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """A key of a type's section: its path in it, its default in JSON, the variables instead.

    One that is `required` stands wherever its section does; a provider needs one that is `needed`.
    """

    path: str
    meaning: str
    default: str | None
    variables: Sequence[str] = ()
    required: bool = False
    needed: bool = False


@dataclass(frozen=True, slots=True)
class TypeDescription:
    """A type: whom it calls, what it carries and which keys and variables are its own.

    Channels that are `only_named` are carried only where `channels.<channel>.providers` says so.
    `surroundings` are variables that it needs and no key stands in for.
    """

    name: str
    title: str
    channels: Sequence[Channel]
    only_named: Sequence[Channel]
    on_unknown_outcome: OnUnknownOutcome
    documented: DocumentedRate | None
    surroundings: Sequence[str]
    keys: Sequence[KeyDescription]
    variables: Sequence[Variable]


def description(kind: ProviderType) -> TypeDescription:
    """All that a type says of itself."""
    facts = kind.facts
    return TypeDescription(
        name=name_of(kind),
        title=(kind.__doc__ or "").partition("\n")[0].rstrip("."),
        channels=facts.channels,
        only_named=facts.only_named,
        on_unknown_outcome=facts.on_unknown_outcome,
        documented=facts.documented,
        surroundings=[*_surroundings(kind)],
        keys=[*_keys(kind)],
        variables=variables_of(kind),
    )


def _surroundings(kind: ProviderType) -> Iterator[str]:
    for mark in needs(kind):
        if not mark.in_file:
            yield mark.variables[0].name
    if kind.facts.uses_kafka:
        yield "KAFKA_BROKERS"


def _keys(section: type[Section], way: str = "") -> Iterator[KeyDescription]:
    for name, one in section.model_fields.items():
        if name in LimitKeys.model_fields or f"{way}{name}" == "type":
            continue
        path = f"{way}{one.alias or name}"
        inner, mark = _section(one.annotation)
        if inner is None or mark or _may_be_text(one.annotation):
            yield from _own(path, one)
        if inner is not None:
            yield from _keys(inner, f"{path}{mark}.")


def _section(kind: object) -> tuple[type[Section] | None, str]:
    """The section that a key holds, if any, and how one of several is marked: `rules[]`."""
    if isinstance(kind, type) and issubclass(kind, Section):
        return kind, ""
    inner = next((found for each in get_args(kind) if (found := _section(each))[0]), (None, ""))
    return inner[0], "[]" if get_origin(kind) is list else inner[1]


def _may_be_text(kind: object) -> bool:
    """Whether a section may be written as a text, too."""
    return any(isinstance(each, OrText) or _may_be_text(each) for each in get_args(kind))


def _own(path: str, key: FieldInfo) -> Iterator[KeyDescription]:
    if not isinstance(key.json_schema_extra, Needed) or key.json_schema_extra.in_file:
        yield _key(path, key)


def _key(path: str, key: FieldInfo) -> KeyDescription:
    mark, meaning = key.json_schema_extra, key.description or ""
    if isinstance(mark, Needed):
        names = [variable.name for variable in mark.variables]
        is_needed = not mark.optional
        return KeyDescription(path, meaning, None, names, required=is_needed, needed=is_needed)
    if key.is_required():
        return KeyDescription(path, meaning, None, required=True)
    default: object = key.get_default(call_default_factory=True, validated_data={})
    return KeyDescription(path, meaning, None if default is None else json.dumps(default))
