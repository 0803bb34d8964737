"""Types of providers that other packages bring: entry points of the group `carillon.providers`.

    [project.entry-points."carillon.providers"]
    pigeon = "pigeon_post:PigeonConfig"

The name of the entry point is that of the type. Whatever is wrong with one is kept as a sentence:
a package that happens to be installed must not keep a service from starting that does not use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Final, Literal, get_args, get_origin

from pydantic import TypeAdapter

from carillon.messages.model import CHANNELS
from carillon.messages.redaction import printable, without_secrets
from carillon.providers.config import Facts, ProviderConfig, ProviderType, variables

GROUP: Final = "carillon.providers"
_LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class Plugins:
    """The types by name, the packages that they are of, and why others cannot be used."""

    types: Mapping[str, ProviderType] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)


class Unsound(Exception):
    """A class is no type of provider that can be used; the message says why."""


def installed() -> Sequence[EntryPoint]:
    """The entry points of this environment."""
    return [*entry_points(group=GROUP)]


def plugins(found: Iterable[EntryPoint], built_in: Mapping[str, ProviderType]) -> Plugins:
    """What the entry points hold; a type of ours keeps its name. Nothing is raised."""
    types: dict[str, ProviderType] = {}
    packages: dict[str, str] = {}
    broken: dict[str, str] = {}
    points = sorted(found, key=lambda point: (point.name, point.value))
    names = [point.name for point in points]
    for point in points:
        try:
            if names.count(point.name) > 1:
                raise Unsound("several packages have a type of this name")  # noqa: TRY301
            kind = _loaded(point, {**built_in, **types})
        except Unsound as error:
            broken[point.name] = _sentence(point, str(error))
        except (Exception, SystemExit) as error:
            broken[point.name] = _sentence(point, said(error))
        else:
            types[point.name], packages[point.name] = kind, _package(point)
    return Plugins(types, packages, broken)


def said(error: BaseException) -> str:
    """An exception of somebody else's code in one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return printable(without_secrets(text[:_LONGEST]))


def _loaded(point: EntryPoint, known: Mapping[str, ProviderType]) -> ProviderType:
    """Raises Unsound, or whatever the code of the package does."""
    if point.name in known:
        raise Unsound("a type of Carillon's own has this name")
    kind: object = point.load()
    if not (isinstance(kind, type) and issubclass(kind, ProviderConfig)):
        raise Unsound("it is no subclass of carillon.providers.config.ProviderConfig")
    _check(kind, point.name)
    taken = {one.name for each in known.values() for one in variables(each)}
    for variable in variables(kind):
        if variable.name in taken:
            raise Unsound(f"another type reads the environment variable {variable.name}")
    return kind


def _check(kind: ProviderType, name: str) -> None:
    """Raises Unsound for what would only show when the class is used."""
    key = kind.model_fields["type"].annotation
    if get_origin(key) is not Literal or get_args(key) != (name,):
        raise Unsound(f'its key `type` must be Literal["{name}"] = of_type("{name}")')
    facts = getattr(kind, "facts", None)
    if not isinstance(facts, Facts) or not facts.channels or not {*facts.channels} <= {*CHANNELS}:
        raise Unsound(f"its `facts` must be Facts with channels among {', '.join(CHANNELS)}")
    if kind.build is ProviderConfig.build:
        raise Unsound("it has no method `build`")
    TypeAdapter(kind).json_schema()
    kind()


def _sentence(point: EntryPoint, why: str) -> str:
    place = printable(f"{_package(point)}, {point.value}")
    return f'the plug-in "{printable(point.name)}" ({place}) cannot be used: {why}'


def _package(point: EntryPoint) -> str:
    if point.dist is None:
        return "no package"
    return f"{point.dist.name} {point.dist.version}"
