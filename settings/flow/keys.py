"""The section `flowManagerConfiguration` of the configuration file."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from carillon.http_client.urls import service_url
from carillon.providers.values import Duration, PositiveDuration, Section, Text, lasting
from carillon.settings.file.values import OpenSection, Paths
from carillon.settings.model import EventPayload, StartAt

Policy: TypeAlias = Literal["started", "all", "any"] | float


def _policy(value: object) -> object:
    share = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1
    if share or value in ("started", "all", "any"):
        return value
    raise ValueError('"started", "all", "any" or a share above 0 and up to 1')


def _service(value: object) -> object:
    return service_url(value) if isinstance(value, str) else value


SuccessPolicy: TypeAlias = Annotated[
    Policy,
    BeforeValidator(_policy),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["started", "all", "any"]},
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            ]
        }
    ),
]
Topic: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Service: TypeAlias = Annotated[str, BeforeValidator(_service)]


class MetadataKeys(OpenSection):
    """Paths inside a command's payload at which the fields of a dispatch stand."""

    channels: Paths = Field(description="The channels to send on.")
    recipients: Paths | None = Field(default=None, description="The user ids.")
    clusters: Paths | None = Field(default=None, description="The clusters.")
    to: Paths | None = Field(default=None, description="Users as objects, with their addresses.")
    email_attachments: Paths | None = Field(default=None, description="Names of files.")
    email_carbon_copies: Paths | None = Field(default=None, description="Addresses for cc.")
    email_blind_carbon_copies: Paths | None = Field(default=None, description="For bcc.")
    message_title: Text | None = Field(default=None, description="The title.")
    message_content: Text | None = Field(default=None, description="The text.")
    template_id: Text | None = Field(default=None, description="The template.")
    email_sender: Text | None = Field(default=None, description="The sender of mails.")


class StreamKeys(Section):
    """Commands and events over Kafka; the environment says where its brokers are."""

    commands_topic: Topic | None = Field(default=None, description="Where commands are read.")
    events_topic: Topic | None = Field(default=None, description="Where events are produced.")
    group_id: Text = Field(default="carillon", description="The consumer group.")
    labels: Annotated[list[Text], Field(min_length=1, max_length=1000)] | None = Field(
        default=None, description="The commands that are for this service. Default: all."
    )
    start_at: StartAt = Field(
        default="latest", description="Where a group begins that never read the topic."
    )
    session_timeout: PositiveDuration = lasting(
        "30s", "After this silence the group takes a member for dead."
    )


class FlowKeys(OpenSection):
    """How commands of a Flow Manager are understood and answered."""

    metadata_schema: MetadataKeys = Field(description="Where a command holds what is sent.")
    service_url: Service | None = Field(default=None, description="Where events are posted.")
    success_event_label: Text | None = Field(default=None, description="Of the success event.")
    success_event_label_as_printed: Text | None = Field(
        default=None, alias="successEventlabel", description="The same in another spelling."
    )
    fail_event_label: Text | None = Field(default=None, description="Of the fail event.")
    fail_event_label_as_printed: Text | None = Field(
        default=None, alias="failEventlabel", description="The same in another spelling."
    )
    get_template_id_file_path: Text | None = Field(
        default=None, description="File with the function that chooses the template."
    )
    get_data_file_path: Text | None = Field(
        default=None, description="File with the function that makes `data`."
    )
    respond_within: Duration = lasting(
        "25s", "Longest wait before a command is answered; 0 means no limit."
    )
    success_policy: SuccessPolicy = Field(default="started", description="What counts as success.")
    event_payload: EventPayload = Field(default="empty", description="What events carry.")
    repeat_window: PositiveDuration | None = Field(
        default=None, description="How long a repeated command is recognised."
    )
    kafka: StreamKeys | None = Field(default=None)
