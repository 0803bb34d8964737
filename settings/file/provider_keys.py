"""The sections `providers` and `channels` of the configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, Union, cast

from pydantic import BeforeValidator, Field
from pydantic.config import JsonDict

from carillon.providers.config import ProviderConfig
from carillon.providers.registry import TYPES
from carillon.providers.values import OrName, PositiveDuration, Section, Text, named

NAMES: Final = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Of providers."""

if TYPE_CHECKING:
    AnyProvider: TypeAlias = ProviderConfig
else:
    AnyProvider = Annotated[Union[tuple(TYPES.values())], Field(discriminator="type")]  # noqa: UP007


def typed(sections: object) -> object:
    """The sections, each with its `type` where its name says that and nothing else does."""
    if not isinstance(sections, dict):
        return sections
    return {
        name: {"type": name, **section} if name in TYPES and isinstance(section, dict) else section
        for name, section in sections.items()
    }


def sections_schema(schema: JsonDict) -> None:
    """Say of a section without `type` that its name is its type."""
    union = cast("JsonDict", schema["additionalProperties"])
    mapping = cast("JsonDict", cast("JsonDict", union["discriminator"])["mapping"])
    either: JsonDict = {**union, "required": ["type"]}
    schema["propertyNames"] = {"pattern": NAMES}
    schema["additionalProperties"] = either
    schema["properties"] = {
        name: {"if": {"required": ["type"]}, "then": either, "else": {"$ref": reference}}
        for name, reference in mapping.items()
    }


Weight: TypeAlias = Annotated[int, Field(ge=1, le=1000)]


class ChoiceKeys(Section):
    """A provider of a channel."""

    name: Text = Field(description="A section of `providers`, or a type.")
    weight: Weight | None = Field(
        default=None, description="Share of the load. Default: none, tried in order."
    )


Choice: TypeAlias = Annotated[ChoiceKeys, BeforeValidator(named), OrName()]


class ChannelKeys(Section):
    """How one channel is carried."""

    providers: Annotated[list[Choice], Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="In this order. Default: what the environment configures."
    )
    time_to_live: PositiveDuration | None = Field(
        default=None, description="After this a message is not sent any more."
    )


class ChannelsKeys(Section):
    """One section for each channel."""

    email: ChannelKeys = Field(default_factory=ChannelKeys)
    sms: ChannelKeys = Field(default_factory=ChannelKeys)
    push: ChannelKeys = Field(default_factory=ChannelKeys)
    voice: ChannelKeys = Field(default_factory=ChannelKeys)
