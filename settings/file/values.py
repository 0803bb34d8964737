"""The kinds of values that several keys of the configuration file share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias, cast
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import ComputedFieldInfo, FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from carillon.messages import durations
from carillon.settings.urls import base_url


def _title(name: str, _info: FieldInfo | ComputedFieldInfo) -> str:
    return name.replace("_", " ").capitalize()


class Section(BaseModel):
    """An object of the file in which every key must be known."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        field_title_generator=_title,
        validate_default=True,
    )


class OpenSection(Section):
    """An object that others define too: a key nobody knows is a warning there."""

    model_config = ConfigDict(extra="ignore")


class OrName:
    """Marks an object that may be written as just its name."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Offer both forms."""
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(core)]}


@dataclass(frozen=True, slots=True)
class OrText:
    """Marks what may be written as a text as well, such as this one."""

    example: str

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Offer both forms."""
        text: JsonSchemaValue = {"type": "string", "minLength": 1, "examples": [self.example]}
        return {"anyOf": [handler(core), text]}


def token(text: str) -> str:
    """A credential that fits into a header."""
    if not (text.isascii() and text.isprintable() and text):
        raise ValueError("printable ASCII characters")
    return text


def named(value: object) -> object:
    """A bare name as the object it stands for."""
    return {"name": value} if isinstance(value, str) else value


def lasting(text: str, description: str) -> float:
    """A key whose default is a duration, given as one writes it so that the schema shows that."""
    return cast("float", Field(default=text, description=description))


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, KeyError, ValueError):
        raise ValueError('a time zone such as "UTC" or "Europe/Rome"') from None
    return name


def _paths(value: object) -> tuple[str, ...]:
    paths = [value] if isinstance(value, str) else value
    if isinstance(paths, list) and paths and all(isinstance(p, str) and p for p in paths):
        return tuple(paths)
    raise ValueError("a path or a list of paths")


_MOMENT: Final = {"type": "string", "pattern": durations.PATTERN, "examples": ["500ms", "30s"]}

Duration: TypeAlias = Annotated[
    float,
    BeforeValidator(durations.seconds),
    WithJsonSchema({"anyOf": [_MOMENT, {"enum": [0, "0"]}]}),
]
PositiveDuration: TypeAlias = Annotated[
    float, BeforeValidator(durations.some_seconds), WithJsonSchema(_MOMENT)
]
Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=1000)]
Token: TypeAlias = Annotated[str, AfterValidator(token), Field(min_length=1)]
Url: TypeAlias = Annotated[
    str, AfterValidator(base_url), Field(json_schema_extra={"format": "uri"})
]
Zone: TypeAlias = Annotated[str, AfterValidator(_zone)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
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
