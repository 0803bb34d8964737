"""The keys of an `http` section: what its parts may be, each by itself."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated, Final, Literal, Self, TypeAlias, cast

from pydantic import (
    BeforeValidator,
    Field,
    JsonValue,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from carillon.providers.http import pointer
from carillon.providers.values import FilePath, OrName, OrText, Section, named

NAME: Final = "[A-Za-z_][A-Za-z0-9_]{0,63}"
"""Of secrets, so that `secret.NAME` is a path in a template."""
_CLASS: Final = re.compile("[2-5]xx")
_LOWEST: Final = HTTPStatus.OK
_HIGHEST: Final = 599
_STATUSES: Final = 'a list of statuses such as 202, and of kinds of them such as "4xx"'
_VALUES: Final = "a list of texts, numbers, true and false that is not empty"
_FORM: Final = "an object whose values are texts or lists of texts"

Scalar = bool | int | float | str
Means = Literal["accepted", "refused", "unavailable", "throttled"]
Method = Literal["POST", "PUT", "PATCH", "GET", "DELETE"]
FormFields = dict[str, str | list[str]]


def _statuses(value: object) -> frozenset[int]:
    if not isinstance(value, list) or not value:
        raise ValueError(_STATUSES)
    return frozenset(status for one in value for status in _some(one))


def _some(one: object) -> range:
    if isinstance(one, str) and _CLASS.fullmatch(one):
        return range(int(one[0]) * 100, int(one[0]) * 100 + 100)
    if isinstance(one, int) and _LOWEST <= one <= _HIGHEST:
        return range(one, one + 1)
    raise ValueError(_STATUSES)


def _values(value: object) -> tuple[Scalar, ...]:
    if isinstance(value, list) and value and all(isinstance(one, Scalar) for one in value):
        return tuple(value)
    raise ValueError(_VALUES)


def _form(value: object) -> FormFields:
    if isinstance(value, dict) and all(map(_is_field, value.values())):
        return value
    raise ValueError(_FORM)


def _is_field(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    return isinstance(value, str)


def _pointed(value: object) -> object:
    return {"pointer": value} if isinstance(value, str) else value


AnyJson: TypeAlias = Annotated[JsonValue, WithJsonSchema({})]
Pointer: TypeAlias = Annotated[
    pointer.Pointer,
    PlainValidator(pointer.parsed),
    WithJsonSchema({"type": "string", "pattern": "^(/.*)?$", "examples": ["/messages/0/id"]}),
]
Statuses: TypeAlias = Annotated[
    frozenset[int],
    PlainValidator(_statuses),
    WithJsonSchema(
        {
            "type": "array",
            "minItems": 1,
            "items": {
                "anyOf": [
                    {"type": "integer", "minimum": int(_LOWEST), "maximum": _HIGHEST},
                    {"type": "string", "pattern": "^[2-5]xx$", "examples": ["4xx"]},
                ]
            },
        }
    ),
]
Values: TypeAlias = Annotated[
    tuple[Scalar, ...],
    PlainValidator(_values),
    WithJsonSchema(
        {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}}
    ),
]
Form: TypeAlias = Annotated[
    FormFields,
    PlainValidator(_form),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
            },
        }
    ),
]


class BasicAuthKeys(Section):
    """A user of HTTP's basic authentication."""

    user: str = Field(description="A template.", repr=False)
    password: str = Field(
        default="", description="A template.", repr=False, json_schema_extra={"writeOnly": True}
    )


class SecretKeys(Section):
    """A value that templates may use and nobody sees: of an environment variable or a file."""

    name: str = Field(pattern=f"^{NAME}$", description="As in `secret.NAME`.")
    variable: str | None = Field(
        default=None, min_length=1, description="The environment variable; else it has that name."
    )
    file: FilePath | None = Field(default=None, description="File with the value, read at start.")

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if self.variable is not None and self.file is not None:
            raise ValueError("an object with one of variable and file")
        return self


Secrets: TypeAlias = list[Annotated[SecretKeys, BeforeValidator(named), OrName()]]


class FieldKeys(Section):
    """Where something stands in an answer: in its JSON or in a header."""

    pointer: Pointer | None = Field(default=None, description="Into the answer's JSON.")
    header: str | None = Field(default=None, min_length=1, description="Name of a header.")

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if (self.pointer is None) == (self.header is None):
            raise ValueError("a JSON Pointer, or an object with one of pointer and header")
        return self


class WaitKeys(FieldKeys):
    """Where an answer says how long to wait."""

    unit: Literal["s", "ms"] = Field(default="s", description="Of the number that stands there.")


AnswerField: TypeAlias = Annotated[FieldKeys, BeforeValidator(_pointed), OrText("/messages/0/id")]
Wait: TypeAlias = Annotated[WaitKeys, BeforeValidator(_pointed), OrText("/retryAfter")]


class AcceptedKeys(Section):
    """What an accepted message is answered with."""

    statuses: Statuses = cast(
        "frozenset[int]", Field(default=["2xx"], description="Statuses that accept a message.")
    )
    message_id: AnswerField | None = Field(
        default=None, description="Where the provider's id of the message stands."
    )


class RuleKeys(Section):
    """An answer, and what it means."""

    statuses: Statuses | None = Field(default=None, description="Of such answers; else any.")
    pointer: Pointer | None = Field(
        default=None, description='To what decides; "" is all of the answer, as text if no JSON.'
    )
    values: Values | None = Field(
        default=None, description="One of them stands there; else anything but null does."
    )
    means: Means = Field(description="What such an answer is.")
    wait: Wait | None = Field(default=None, description="How long to pause the provider.")

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if self.statuses is None and self.pointer is None:
            raise ValueError("an object with statuses, a pointer, or both")
        if self.values is not None and self.pointer is None:
            raise ValueError("an object with a pointer to one of its values")
        if self.wait is not None and self.means not in {"throttled", "unavailable"}:
            raise ValueError('an object with wait only where it means "throttled" or "unavailable"')
        return self
