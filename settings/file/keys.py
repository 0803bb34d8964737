"""The configuration file: its top level and the small sections.

Descriptions and limits stand here once; the JSON Schema, the error messages and the tests of the
documentation all read them from here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from carillon.messages.model import Channel
from carillon.providers.values import Duration, PositiveDuration, Section, Text, lasting
from carillon.settings.file.provider_keys import AnyProvider, ChannelsKeys, sections_schema, typed
from carillon.settings.file.values import OpenSection
from carillon.settings.flow.keys import FlowKeys
from carillon.settings.model import Fsync


class SenderKeys(OpenSection):
    """The senders of messages; each is required when its channel is active."""

    email: str | None = Field(default=None, description="An address, bare or as `Name <address>`.")
    sms: str | None = Field(default=None, description="A number or an alphanumeric sender.")
    voice: str | None = Field(default=None, description="The number that calls.")


class UserFieldsKeys(OpenSection):
    """Which fields of a user document hold what."""

    id: Text = Field(default="_id", description="The id that requests and failures use.")
    email_address: Text = Field(default="emailAddress", description="The email address.")
    phone_number: Text = Field(default="phoneNumber", description="The number for SMS and voice.")
    device_token: Text = Field(default="deviceToken", description="The Firebase token for push.")
    clusters: Text = Field(default="clusters", description="The clusters a user is in.")


class LimitsKeys(Section):
    """Bounds of what one process takes on."""

    body_bytes: int = Field(
        default=16_777_216, ge=1, le=1_073_741_824, description="Bytes of a request's body."
    )
    open_dispatches: int = Field(
        default=1000, ge=1, le=1_000_000, description="Dispatches worked on at once."
    )
    failures: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Failures that one answer lists."
    )
    connections: int = Field(
        default=2000, ge=1, le=1_000_000, description="Connections of callers open at once."
    )
    values: int = Field(
        default=100_000,
        ge=100,
        le=10_000_000,
        description="JSON values of a request's body, beside its recipients.",
    )


class DirectoryKeys(Section):
    """How users and templates are read."""

    timeout: PositiveDuration = lasting("10s", "Of one read.")
    attempts: int = Field(default=3, ge=1, le=100, description="All reads, the first included.")


class IdempotencyKeys(Section):
    """How repeated requests are recognised."""

    expiry: PositiveDuration = lasting("24h", "How long an `Idempotency-Key` is remembered.")


class JournalKeys(Section):
    """What is recorded of dispatches."""

    fsync: Fsync = Field(default="commit", description="What a crash may cost.")
    keep_content: bool = Field(default=False, description="Keep addresses and texts.")
    retention: PositiveDuration = lasting("30d", "How long records stay.")


class TemplatesKeys(Section):
    """What one template may cost."""

    template_bytes: int = Field(
        default=262_144, ge=1, le=1_073_741_824, description="Bytes of a template."
    )
    nesting: int = Field(default=200, ge=1, le=1000, description="Blocks within blocks.")
    steps: int = Field(
        default=200_000, ge=1, le=1_000_000_000, description="Steps of one rendering."
    )
    output_bytes: int = Field(
        default=10_000_000, ge=1, le=1_073_741_824, description="Bytes of one rendered text."
    )
    partial_depth: int = Field(default=80, ge=1, le=1000, description="Partials within partials.")
    milliseconds: int = Field(
        default=500, ge=1, le=60_000, description="Milliseconds of processor time of one rendering."
    )


class UserKeys(OpenSection):
    """The part of the file that says what users are."""

    user_fields: UserFieldsKeys = Field(default_factory=UserFieldsKeys)


class FileKeys(OpenSection):
    """The configuration of Carillon, a messaging service."""

    model_config = ConfigDict(title="Carillon configuration")

    active_channels: list[Channel] = Field(
        min_length=1, description="The channels that may be asked for."
    )
    sender: SenderKeys = Field(default_factory=SenderKeys)
    user_fields: UserFieldsKeys = Field(default_factory=UserFieldsKeys)
    android_intent_action: str = Field(
        default="", description="The action of a click on an Android notification."
    )
    flow_manager_configuration: FlowKeys | None = Field(default=None)
    providers: Annotated[dict[str, AnyProvider], BeforeValidator(typed)] = Field(
        default_factory=dict,
        description="One section for each provider; a type's own name needs no `type`.",
        json_schema_extra=sections_schema,
    )
    channels: ChannelsKeys = Field(default_factory=ChannelsKeys)
    respond_within: Duration = lasting(
        "50s", "Longest wait before a request is answered; 0 means no limit."
    )
    drain: Duration = lasting("25s", "How long open work may go on when the service stops.")
    escaping: Literal["html", "everywhere"] = Field(
        default="html", description="Where `{{…}}` escapes: in HTML only, or in every text."
    )
    limits: LimitsKeys = Field(default_factory=LimitsKeys)
    directory: DirectoryKeys = Field(default_factory=DirectoryKeys)
    idempotency: IdempotencyKeys = Field(default_factory=IdempotencyKeys)
    journal: JournalKeys = Field(default_factory=JournalKeys)
    templates: TemplatesKeys = Field(default_factory=TemplatesKeys)
