"""The kinds of values that only the configuration file has, besides those of `providers.values`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, ConfigDict, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from carillon.providers.values import Section


class OpenSection(Section):
    """An object that others define too: an unknown key is a warning there."""

    model_config = ConfigDict(extra="ignore")


class OrName:
    """Marks an object that may be written as just its name."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Offer both forms."""
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(core)]}


def named(value: object) -> object:
    """A bare name as the object it stands for."""
    return {"name": value} if isinstance(value, str) else value


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
