"""What a type of provider declares: its keys, its channels, what it needs, how it is made.

A type is one module: a `ProviderConfig` with the keys that its section of the configuration file
may have, and `facts` about it. `providers/registry.py` names it in one line, and all that is told
of types (the JSON Schema, `config check`, the documentation, `carillon providers types`) comes
from there.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self, TypeVar

from pydantic import Field
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

from carillon.handlebars import Engine
from carillon.http_client.ports import Wire
from carillon.kafka.connection import KafkaConnection
from carillon.messages.json_keys import Place
from carillon.messages.model import Channel, Delivery
from carillon.messages.offload import Offload
from carillon.messages.ports.handovers import Handovers
from carillon.messages.redaction import without_secrets
from carillon.messages.secret import Secret
from carillon.providers.limit_keys import LimitKeys, OnUnknownOutcome
from carillon.providers.ports import Provider, Reachable
from carillon.providers.values import HoldsSecret, Section, Url

T = TypeVar("T")
ReadFile = Callable[[Path, int], bytes]
"""The first bytes of a file, so many at most. Raises OSError, or ValueError for no path."""
ReadVariable = Callable[[str, Place], str | None]
"""An environment variable that a key at this place of the section names; None where it is not set,
which has been noted then."""
MakeEngine = Callable[[], Engine]
"""The engine for templates with the configured limits, made when it is first asked for."""
Fault = tuple[Place, str]
"""What is wrong with a key at a place of a section."""


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that gives a key its value where the file does not.

    `convert` raises ValueError with what is allowed. An `alias` is read where no other is set;
    a value that is `secret` is shown nowhere. One that `activates` nothing may be set for others'
    sake: it alone does not make a type carry its channels.
    """

    name: str
    meaning: str
    convert: Callable[[str], object]
    alias: bool = False
    secret: bool = False
    activates: bool = True


@dataclass(frozen=True, slots=True)
class Needed:
    """Marks a key that a provider in use must have, from the file or one of these variables.

    Of several that are set the last one wins. A key that is not `in_file` has only the variables.
    One that is `optional` may be missing all the same.
    """

    variables: tuple[Variable, ...] = ()
    in_file: bool = True
    optional: bool = False

    def __call__(self, schema: JsonDict) -> None:
        """Change nothing in the key's JSON Schema."""


def needed(absent: T, *variables: Variable, description: str, in_file: bool = True) -> T:
    """A key that must have a value before its provider is made; until then it is `absent`."""
    marked: T = Field(
        default_factory=lambda: absent,
        description=description,
        repr=False,  # an address may have a key in its query
        validate_default=False,
        json_schema_extra=Needed(variables, in_file),
    )
    return marked


def optional(absent: T, *variables: Variable, description: str) -> T:
    """A key that one of these variables may give; it is `absent` where neither does."""
    marked: T = Field(
        default_factory=lambda: absent,
        description=description,
        repr=False,
        validate_default=False,
        json_schema_extra=Needed(variables, optional=True),
    )
    return marked


def of_type(name: T) -> T:
    """The key `type` of a type's section, which may have no other value."""
    marked: T = Field(
        default=name,
        description="Default: the section's name.",
        json_schema_extra=_without_default,
    )
    return marked


def _without_default(schema: JsonDict) -> None:
    del schema["default"]


@dataclass(frozen=True, slots=True)
class DocumentedRate:
    """A rate that a provider publishes: advice, since a contract may say another."""

    limit: int
    per: str
    why: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds for every provider of a type.

    `on_unknown_outcome` is `retry` only where a repeat replaces or joins the first, so that nobody
    gets a message twice. `switches` are variables that make it active besides those of its keys.
    `only_named`: channels that it carries only where `channels.<channel>.providers` names it, since
    its variables have been set for another channel before it carried them.
    `both_bodies`: a mail may have its text beside its HTML.
    `connects`: each call that is open has a connection of its own.
    `reports_later`: what it hands over is kept, so that its hooks can tell what became of it.
    `absent` says of keys that other types have why this one has none.
    """

    channels: tuple[Channel, ...]
    on_unknown_outcome: OnUnknownOutcome = "hold"
    documented: DocumentedRate | None = None
    switches: tuple[Variable, ...] = ()
    only_named: tuple[Channel, ...] = ()
    connects: bool = True
    both_bodies: bool = False
    uses_kafka: bool = False
    reports_later: bool = False
    absent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What a provider may need besides its own keys.

    `name` is that of its section, `tls` what is trusted besides the wire, `offload` the thread
    for long texts.
    """

    name: str
    wire: Wire
    handovers: Handovers
    read: ReadFile
    tls: ssl.SSLContext | None = None
    offload: Offload = field(default_factory=Offload)
    android_intent_action: str = ""
    engine: MakeEngine = Engine
    kafka: KafkaConnection | None = None
    on_sandbox_message: Callable[[Delivery], None] | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody to connect to: an address without an account, and what connects."""

    address: str
    provider: Reachable


class Credentials(Section):
    """What a provider wants to see; the environment fills in what is missing."""


class Options(Section):
    """What is special about one type of provider."""


class ProviderConfig(LimitKeys):
    """One outside service that carries messages."""

    facts: ClassVar[Facts]

    type: str = of_type("")
    credentials: Credentials = Field(default_factory=Credentials)
    options: Options = Field(default_factory=Options)

    @property
    def carried(self) -> Sequence[Channel]:
        """The channels that it carries."""
        return self.facts.channels

    def faults(self, engine: MakeEngine) -> Iterable[Fault]:
        """What is wrong with it that no key shows by itself; variables are not read yet."""
        return ()

    def with_variables(self, read: ReadVariable) -> Self:
        """The same with the values of the environment variables that its keys name."""
        return self

    def paths(self, engine: MakeEngine) -> frozenset[tuple[str, ...]]:
        """What its templates may read of a request, such as ("user", "name"); () is anything."""
        return frozenset()

    def build(self, context: BuildContext) -> Provider:
        """A provider of this type; every key that is needed is there by now.

        Raises:
            ValueError: begins with the key that is at fault, and says what is wrong with it.
        """
        raise NotImplementedError

    def check(self, read: ReadFile) -> None:
        """Look at what the keys name. Raises ValueError as `build` does."""

    def addresses(self, read: ReadFile) -> Mapping[str, str]:
        """Absolute URLs of those who are called over HTTP, by the key that names each."""
        return {}

    def reached(self, read: ReadFile, tls: ssl.SSLContext) -> Mapping[str, Target]:
        """Those who are called by another protocol than HTTP, by the key that names each.

        Raises ValueError as `build` does.
        """
        return {}

    def warnings(self) -> Iterable[str]:
        """What of it may not be what somebody expects."""
        return ()


class HttpProviderConfig(ProviderConfig):
    """One that is called over HTTP at an address of the operator's."""

    url: Url = needed("", description="Base; the type adds its path.")

    def addresses(self, read: ReadFile) -> Mapping[str, str]:
        """The URL."""
        return {"url": self.url}


ProviderType = type[ProviderConfig]


def name_of(kind: ProviderType) -> str:
    """What a type is called in configurations."""
    return str(kind.model_fields["type"].default)


def needs_of(section: type[Section]) -> Mapping[str, Needed]:
    """The keys of a section that must have a value, by the names of their fields."""
    found = {name: one.json_schema_extra for name, one in section.model_fields.items()}
    return {name: mark for name, mark in found.items() if isinstance(mark, Needed)}


def own_keys_first(section: type[Section]) -> list[str]:
    """The names of a section's fields: its own keys, then its inner sections."""
    fields = section.model_fields
    inner = {name for name, one in fields.items() if _inner(one) is not None}
    return [
        *(name for name in fields if name not in inner),
        *(name for name in fields if name in inner),
    ]


def _inner(key: FieldInfo) -> type[Section] | None:
    kind = key.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def fixed_keys(config: ProviderConfig) -> Mapping[str, object]:
    """What a provider is made with: all of its keys but those that may change while it runs."""
    fields = type(config).model_fields
    names = [one for one in own_keys_first(type(config)) if one not in LimitKeys.model_fields]
    return {fields[name].alias or name: getattr(config, name) for name in names}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A key that is no section, with its value; `variable` gave it where the file did not."""

    place: Place
    value: object
    variable: str | None
    is_secret: bool


def leaves(section: Section, place: Place = ()) -> Iterator[Leaf]:
    """All keys of a section whose needs are met."""
    for name, value in section:
        key = type(section).model_fields[name]
        inner = (*place, key.alias or name)
        if isinstance(value, Section):
            yield from leaves(value, inner)
            continue
        if isinstance(value, list) and any(isinstance(one, Section) for one in value):
            for at, one in enumerate(value):
                yield from leaves(one, (*inner, at))
            continue
        extra = key.json_schema_extra
        variable = None
        if isinstance(extra, Needed) and name not in section.model_fields_set:
            variable = next((one.name for one in extra.variables), None)
        is_marked = isinstance(extra, dict) and "writeOnly" in extra
        yield Leaf(inner, value, variable, is_marked or _is_secret(value))


def _is_secret(value: object) -> bool:
    if isinstance(value, HoldsSecret):
        return value.holds_secret
    return isinstance(value, Secret) or (isinstance(value, str) and without_secrets(value) != value)


def needs(kind: type[Section]) -> list[Needed]:
    """The same of a type, those of its inner sections after its own."""
    own = list(needs_of(kind).values())
    for one in kind.model_fields.values():
        inner = _inner(one)
        own += [] if inner is None else needs(inner)
    return own


def by_itself(kind: ProviderType, channel: Channel) -> bool:
    """Whether a type carries a channel as soon as its variables or its section configure it."""
    return channel in kind.facts.channels and channel not in kind.facts.only_named


def variables(kind: ProviderType) -> list[Variable]:
    """All that make a type active: those of its keys, and its switches."""
    of_keys = [variable for mark in needs(kind) for variable in mark.variables]
    return [*of_keys, *kind.facts.switches]
