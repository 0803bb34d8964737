"""The kinds of values that keys of the configuration file have: durations, addresses, secrets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Protocol, TypeAlias, cast, runtime_checkable
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import ComputedFieldInfo, FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from carillon.http_client.urls import endpoint_url
from carillon.messages import durations
from carillon.messages.secret import Secret

_LONGEST_TEXT: Final = 1000


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


@runtime_checkable
class HoldsSecret(Protocol):
    """What a value is besides, of which a part may be secret."""

    @property
    def holds_secret(self) -> bool:
        """Whether there is one in it."""
        ...


def token(text: str) -> str:
    """A credential that fits into a header."""
    if not (text.isascii() and text.isprintable() and text):
        raise ValueError("printable ASCII characters")
    return text


def secret_token(text: object) -> Secret:
    """The same where nobody may see it. Raises ValueError with what is allowed."""
    return Secret(token(text if isinstance(text, str) else ""))


def _file_path(value: object) -> object:
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT:
        return Path(value)
    raise ValueError(f"a text that is not empty, of at most {_LONGEST_TEXT} characters")


def lasting(text: str, description: str) -> float:
    """A key whose default is a duration, given as one writes it so that the schema shows that."""
    return cast("float", Field(default=text, description=description))


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, KeyError, ValueError):
        raise ValueError('a time zone such as "UTC" or "Europe/Rome"') from None
    return name


_MOMENT: Final = {"type": "string", "pattern": durations.PATTERN, "examples": ["500ms", "30s"]}

Duration: TypeAlias = Annotated[
    float,
    BeforeValidator(durations.seconds),
    WithJsonSchema({"anyOf": [_MOMENT, {"enum": [0, "0"]}]}),
]
PositiveDuration: TypeAlias = Annotated[
    float, BeforeValidator(durations.some_seconds), WithJsonSchema(_MOMENT)
]
Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=_LONGEST_TEXT)]
Token: TypeAlias = Annotated[str, AfterValidator(token), Field(min_length=1)]
Url: TypeAlias = Annotated[
    str, AfterValidator(endpoint_url), WithJsonSchema({"type": "string", "format": "uri"})
]
FilePath: TypeAlias = Annotated[
    Path,
    BeforeValidator(_file_path),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": _LONGEST_TEXT}),
]
"""Of a file that must be there when its provider is in use."""
SecretToken: TypeAlias = Annotated[
    Secret,
    PlainValidator(secret_token),
    WithJsonSchema({"type": "string", "minLength": 1, "writeOnly": True}),
]
Zone: TypeAlias = Annotated[str, AfterValidator(_zone)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
