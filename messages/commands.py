"""What a caller may ask for: the body of `POST /send`, validated once, at the edge."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from carillon.messages.addresses import is_mailbox
from carillon.messages.document_list import DocumentList
from carillon.messages.durations import some_seconds
from carillon.messages.errors import BadCommand
from carillon.messages.json_input import LONGEST_ID, JsonText
from carillon.messages.model import Channel, Document, Priority
from carillon.messages.string_list import StringList

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


MOST_COPIES: Final = 1_000
"""Most addresses in each of the two lists of copies, which every mail of a dispatch carries."""


class AtEnd(Enum):
    """What becomes of a field when its dispatch has ended, marked where the field is declared.

    A field without a mark is personal: it is erased, and what had one is not kept for another time.
    """

    KEPT = "kept"
    """It says nothing of anybody, and is needed to send again what was not sent."""
    ELSEWHERE = "elsewhere"
    """It is left out: the deliveries say it, or it is over."""


def _once(channels: list[Channel]) -> list[Channel]:
    return list(dict.fromkeys(channels))


def _a_mailbox(text: str | None) -> str | None:
    if text is not None and not is_mailbox(text):
        raise PydanticCustomError("mailbox", "must be an email address, or Name <address>")
    return text


def _or_normal(value: object) -> object:
    return "normal" if value is None else value


def _a_moment(value: object) -> datetime | None:
    """A moment in ISO 8601 with a time zone; a date alone is not enough."""
    moment = None
    if isinstance(value, str) and len(value) > len("2026-01-01"):
        with suppress(ValueError):
            moment = datetime.fromisoformat(value)
    if value is not None and (moment is None or moment.tzinfo is None):
        raise PydanticCustomError(
            "moment", "must be a moment in ISO 8601 with a zone, such as 2026-01-31T09:30:00Z"
        )
    return moment


def _a_duration(value: object) -> float | None:
    if value is None:
        return None
    try:
        return some_seconds(value)
    except ValueError as error:
        raise PydanticCustomError(
            "duration", "must be {allowed}", {"allowed": str(error)}
        ) from None


def _text_as_it_is(value: object, plain: ValidatorFunctionWrapHandler) -> object:
    return value if isinstance(value, JsonText | DocumentList) else plain(value)


def _long_list_as_it_is(value: object, plain: ValidatorFunctionWrapHandler) -> object:
    if isinstance(value, StringList) and value.longest <= LONGEST_ID:
        return value
    return plain(list(value) if isinstance(value, StringList) else value)


# Only the first wrong item is reported: describing a million takes seconds and gigabytes.
_Texts: TypeAlias = Annotated[list[str], Field(fail_fast=True)]
_Id: TypeAlias = Annotated[str, Field(max_length=LONGEST_ID)]
_Ids: TypeAlias = Annotated[list[_Id], Field(fail_fast=True)]
if TYPE_CHECKING:
    _Recipients: TypeAlias = StringList | list[str]
    _Documents: TypeAlias = DocumentList | list[Document]
    _Data: TypeAlias = JsonText | dict[str, object]
else:  # what pydantic validates: the long forms were checked while they were read
    _Recipients = _Ids
    _Documents = Annotated[list[dict[str, object]], Field(fail_fast=True)]
    _Data = dict[str, object]  # already parsed JSON, which need not be walked again


class SendCommand(BaseModel):
    """One message for many users over one or more channels.

    Unknown fields are ignored, null counts as absent, types are never coerced. `recipients` may
    hold duplicates; the journal makes each of them count once. The objects of `to` are users that
    need not be in a directory, each with its own addresses.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    channels: Annotated[
        list[Channel], Field(min_length=1, fail_fast=True), AfterValidator(_once), AtEnd.KEPT
    ]
    recipients: Annotated[
        _Recipients | None, WrapValidator(_long_list_as_it_is), AtEnd.ELSEWHERE
    ] = None
    clusters: Annotated[_Ids | None, AtEnd.ELSEWHERE] = None
    to: Annotated[_Documents | None, WrapValidator(_text_as_it_is)] = None
    message_title: Annotated[str | None, Field(alias="messageTitle")] = None
    message_content: Annotated[str | None, Field(alias="messageContent")] = None
    template_id: Annotated[_Id | None, Field(alias="templateId"), AtEnd.KEPT] = None
    data: Annotated[_Data | None, WrapValidator(_text_as_it_is)] = None
    email_attachments: Annotated[_Texts | None, Field(alias="emailAttachments"), AtEnd.KEPT] = None
    email_carbon_copies: Annotated[_Texts | None, Field(alias="emailCarbonCopies")] = None
    email_blind_carbon_copies: Annotated[_Texts | None, Field(alias="emailBlindCarbonCopies")] = (
        None
    )
    email_sender: Annotated[
        str | None, AfterValidator(_a_mailbox), Field(alias="emailSender"), AtEnd.KEPT
    ] = None
    priority: Annotated[Priority, BeforeValidator(_or_normal), AtEnd.KEPT] = "normal"
    expires_at: Annotated[
        datetime | None, BeforeValidator(_a_moment), Field(alias="expiresAt"), AtEnd.ELSEWHERE
    ] = None
    time_to_live: Annotated[
        float | None, BeforeValidator(_a_duration), Field(alias="timeToLive"), AtEnd.ELSEWHERE
    ] = None

    @property
    def size(self) -> int:
        """The approximate size in bytes of the parts that may be long."""
        data, recipients, inline = self.data, self.recipients, self.to
        texts = (self.message_title, self.message_content)
        lists = (self.clusters, self.email_attachments)
        copies = (self.email_carbon_copies, self.email_blind_carbon_copies)
        return (
            (len(data) if isinstance(data, JsonText) else 0)
            + (recipients.size if isinstance(recipients, StringList) else 0)
            + (inline.size if isinstance(inline, DocumentList) else 0)
            + sum(len(text) for text in texts if text is not None)
            + sum(sum(map(len, one)) for one in (*lists, *copies) if one is not None)
        )

    def seconds_left(self, now: datetime) -> float | None:
        """Seconds for which it stays worth sending, by the earlier deadline; None without one.

        Zero or less once the deadline has passed.
        """
        ends = [inf if self.time_to_live is None else self.time_to_live]
        if self.expires_at is not None:
            ends.append((self.expires_at - now).total_seconds())
        return None if min(ends) == inf else min(ends)

    @model_validator(mode="after")
    def _says_whom_and_what(self) -> SendCommand:
        if self.recipients is None and self.clusters is None and self.to is None:
            raise PydanticCustomError("whom", "recipients, clusters or to is required")
        if self.template_id is None:
            for name, value in (
                ("messageTitle", self.message_title),
                ("messageContent", self.message_content),
            ):
                if value is None:
                    raise PydanticCustomError(
                        "what", "{name} is required unless templateId is given", {"name": name}
                    )
        return self


def personal_fields(command: type[SendCommand]) -> tuple[str, ...]:
    """The fields of a command that must not outlive its dispatch: all without a mark."""
    return tuple(
        name
        for name, one in command.model_fields.items()
        if not any(isinstance(mark, AtEnd) for mark in one.metadata)
    )


_RULES = {
    "missing": "is required",
    "string_type": "must be a string",
    "list_type": "must be an array",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "too_short": "must not be empty",
    "string_too_long": f"must have at most {LONGEST_ID:,} characters",
}


def parse_send(body: object) -> SendCommand:
    """The command in a parsed JSON body.

    Raises:
        BadCommand: A field is wrong; the text names the first one and its rule.
    """
    command = recorded_send(body)
    for name, copies in (
        ("emailCarbonCopies", command.email_carbon_copies),
        ("emailBlindCarbonCopies", command.email_blind_carbon_copies),
    ):
        if copies is not None and len(copies) > MOST_COPIES:
            raise BadCommand(f"{name} must hold at most {MOST_COPIES:,} addresses")
    return command


def recorded_send(body: object) -> SendCommand:
    """The same for a command that was accepted earlier, perhaps under other limits."""
    try:
        return SendCommand.model_validate(body)
    except ValidationError as error:
        raise BadCommand(_sentence(error.errors(include_url=False)[0])) from None


def _sentence(problem: ErrorDetails) -> str:
    where = _place(problem["loc"])
    kind = problem["type"]
    if kind in {"whom", "what"}:
        return problem["msg"]
    if kind == "literal_error":
        return f"{where} must be one of {problem['ctx']['expected']}"
    return f"{where} {_RULES.get(kind, problem['msg'])}"


def _place(location: tuple[int | str, ...]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "".join(steps).lstrip(".") or "the body"
