"""The kinds of values that only the configuration file has, besides those of `providers.values`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, ConfigDict, WithJsonSchema

from carillon.providers.values import Section


class OpenSection(Section):
    """An object that others define too: an unknown key is a warning there."""

    model_config = ConfigDict(extra="ignore")


def _paths(value: object) -> tuple[str, ...]:
    paths = [value] if isinstance(value, str) else value
    if isinstance(paths, list) and paths and all(isinstance(p, str) and p for p in paths):
        return tuple(paths)
    raise ValueError("a path or a list of paths")


Paths: TypeAlias = Annotated[
    tuple[str, ...],
    BeforeValidator(_paths),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
            ]
        }
    ),
]
