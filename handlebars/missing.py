"""Finds the values that a template needs and a context lacks.

The template is rendered once with a context that records failed lookups, so a value in a branch
that is not taken is not missed. A null counts as missing: it shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TypeVar, overload

from carillon.handlebars.engine import Template
from carillon.handlebars.errors import RenderError
from carillon.handlebars.runtime.values import is_nothing

_Default = TypeVar("_Default")
_DEEPEST = 200
Path = tuple[str, ...]


def missing(template: Template, context: Mapping[str, object]) -> list[str]:
    """List the values that `template` wants and `context` lacks, as dotted paths.

    They come in the order in which the template asks for them; items of lists have their index as
    a part of the path: `data.items.0.price`. A template that fails because of them, or of anything
    else, is followed up to there.
    """
    asked: dict[Path, None] = {}
    root = _Watched(context, (), asked)
    # A failure may well be due to a missing value; and `render` reports the place.
    with suppress(RenderError):
        template.render(root)
    found = (_wanted(path, template.paths) for path in asked)
    return list(dict.fromkeys(".".join(path) for paths in found for path in paths))


def _wanted(asked: Path, paths: Iterable[Path]) -> list[Path]:
    """Give the longer paths behind one that led nowhere: `user.home` was asked for its city."""
    longer = sorted(path for path in paths if path[: len(asked)] == asked)
    return longer or [asked]


class _Watched(dict[str, object]):
    """An object of the context that notes the names it does not have."""

    __slots__ = ("_asked", "_path")

    def __init__(self, values: Mapping[str, object], path: Path, asked: dict[Path, None]) -> None:
        super().__init__(
            {name: _watch(value, (*path, name), asked) for name, value in values.items()}
        )
        self._path = path
        self._asked = asked

    @overload
    def get(self, key: str, default: None = None, /) -> object: ...
    @overload
    def get(self, key: str, default: _Default, /) -> object: ...
    def get(self, key: str, default: object = None, /) -> object:
        """Look a name up, and note it if there is nothing."""
        value = super().get(key, default)
        if is_nothing(value):
            self._asked[(*self._path, key)] = None
        return value

    def copy(self) -> _Watched:
        """Make a copy that records lookups too."""
        return _Watched(self, self._path, self._asked)


def _watch(value: object, path: Path, asked: dict[Path, None]) -> object:
    if len(path) > _DEEPEST:
        return value
    if isinstance(value, list):
        return [_watch(item, (*path, str(index)), asked) for index, item in enumerate(value)]
    return _Watched(value, path, asked) if isinstance(value, dict) else value
