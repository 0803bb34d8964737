"""What a dispatch needs in order to go on after a restart, as one JSON text.

Rendered texts and addresses are not kept: users are read again and messages rendered again. The
request itself holds texts, data and the addresses of copies, so it is erased when its dispatch
ends; only a request that can be sent again without them (a template without data) is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, cast

from pydantic_core import to_json

from carillon.dispatches.inline import InlineRecipients
from carillon.messages.commands import SendCommand, parse_send, personal_fields, recorded_send
from carillon.messages.document_list import DocumentList
from carillon.messages.errors import BadCommand
from carillon.messages.json_bounds import MOST_LEVELS, MOST_VALUES, Bounds, TooManyValues
from carillon.messages.json_input import JsonText, read_json
from carillon.messages.model import Channel, Document
from carillon.messages.string_list import StringList

_PERSONAL: Final = personal_fields(SendCommand)
_NOTHING: Final[tuple[object, ...]] = (None, "", [], {})
_PARTS: Final = ("command", "template", "ends", "origin")
_IN_ENDS: Final = frozenset({"expires_at", "time_to_live"})
_BESIDE: Final = 1000
"""Most JSON values of a recorded request beside those that its caller sent."""
_AROUND: Final = 1
"""Levels of a recorded request around what its caller sent."""
_MOST_COUNTED: Final = 10_000
LISTS: Final = frozenset({"recipients"})
DOCUMENTS: Final = frozenset({"to"})
KEPT: Final = "data"
"""The part of a command that may be long, and is kept as text."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command as it was accepted.

    `template` is the stored template as it was then. `ends` are the times after which deliveries
    expire, in milliseconds since 1970. `origin` is what the caller needs when the dispatch ends.
    Once its audience `is_read` only deliveries on record are sent. `inline` are the recipients of
    the command's `to`; they are not part of the text.
    """

    command: SendCommand
    template: Document | None = None
    ends: Mapping[Channel, int] | None = None
    origin: Document | None = None
    is_read: bool = False
    inline: InlineRecipients | None = field(default=None, compare=False, repr=False)

    @property
    def audience_size(self) -> int | None:
        """How many recipients the command names; None if clusters decide that.

        Duplicates count once, except in a list so long that finding them would take a while.
        """
        if self.command.clusters:
            return None
        listed, inline = self.command.recipients or (), self.inline
        number = len(listed)
        if number <= _MOST_COUNTED:
            ids = set(listed)
            number = len(ids) if inline is None else sum(one not in inline for one in ids)
        return number + (0 if inline is None else inline.users)

    def text(self) -> str | bytes:
        """The whole request, in UTF-8 if it is long: a str may take four times the memory."""
        parts = {"template": self.template, "ends": self.ends, "origin": self.origin}
        rest = to_json({**parts, "isRead": True} if self.is_read else parts)
        command = _command_json(self.command)
        whole = [b'{"command":', *command, b",", rest[1:]]
        text = b"".join(whole)
        return text if len(command) > 1 else text.decode()

    def kept(self, *, with_content: bool) -> str | bytes | None:
        """What is kept once the dispatch has ended; None if it could not be rendered again.

        The recipients are in the deliveries. The deadlines are dropped: a redrive means that the
        message is still wanted. The origin was notified of the end, and is not notified twice.
        """
        command = self.command
        if not with_content and _has_any(command, _PERSONAL):
            return None
        nobody = command.model_copy(update={"recipients": [], "clusters": None})
        return replace(self, command=nobody, ends=None, origin=None, is_read=True).text()


def _has_any(command: SendCommand, names: Sequence[str]) -> bool:
    return any(getattr(command, name) not in _NOTHING for name in names)


def _command_json(command: SendCommand) -> list[bytes]:
    """The parts of a command's JSON; more than one if some of it is kept as text."""
    long: dict[str, list[bytes]] = {}
    if isinstance(command.data, JsonText):
        long["data"] = [command.data.text]
    if isinstance(command.recipients, StringList):
        long["recipients"] = command.recipients.json()
    if isinstance(command.to, DocumentList):
        long["to"] = command.to.json()
    body = command.model_dump_json(by_alias=True, exclude_none=True, exclude={*_IN_ENDS, *long})
    if not long:
        return [body.encode()]
    parts = [body[:-1].encode()]
    for name, texts in long.items():
        parts += [b',"%s":' % name.encode(), *texts]
    return [*parts, b"}"]


def parse_request(text: str | bytes, values: int = MOST_VALUES) -> Request:
    """The request in such a text; `values` is what the configuration allows.

    Raises:
        BadCommand: the text has another format, or too many values.
    """
    # A request that was accepted under a higher limit must stay readable.
    bounds = Bounds(
        max(values, MOST_VALUES) + _BESIDE,
        LISTS,
        KEPT,
        inside="command",
        documents=DOCUMENTS,
        levels=MOST_LEVELS + _AROUND,
    )
    try:
        data = text.encode() if isinstance(text, str) else text
        parts = cast("Document", read_json(data, bounds))
        command, template, ends, origin = (parts[name] for name in _PARTS)
    except TooManyValues:
        raise
    except (BadCommand, ValueError, KeyError, TypeError):
        raise BadCommand("The request on record cannot be read") from None
    return Request(
        recorded_send(command),
        cast("Document | None", template),
        cast("Mapping[Channel, int] | None", ends),
        cast("Document | None", origin),
        parts.get("isRead") is True,
    )


def empty_request(channels: Sequence[Channel]) -> Request:
    """A request that sends nothing, in place of one that cannot be read any more."""
    nobody = {"recipients": [], "messageTitle": "", "messageContent": ""}
    return Request(parse_send({"channels": list(channels), **nobody}))
