"""A Flow Manager's command: `{key, value: {messageLabel, messagePayload}}`, and what it asks for.

The paths of `metadataSchema` resolve inside `value.messagePayload`. The fields they find form a
body of `POST /send` and are validated as one, so that they mean exactly the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from carillon.messages.commands import SendCommand, parse_send
from carillon.messages.errors import BadCommand
from carillon.messages.json_input import JsonText, as_documents, as_string_list, as_text
from carillon.messages.model import Document, JsonValue
from carillon.sagas.paths import Path, find_list, once, path

LONGEST_KEY: Final = 1000


@dataclass(frozen=True, slots=True)
class MetadataSchema:
    """Where in a saga's payload the fields of a dispatch are; several paths are joined."""

    channels: tuple[str, ...]
    recipients: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    to: tuple[str, ...] = ()
    email_attachments: tuple[str, ...] = ()
    email_carbon_copies: tuple[str, ...] = ()
    email_blind_carbon_copies: tuple[str, ...] = ()
    message_title: str | None = None
    message_content: str | None = None
    template_id: str | None = None
    email_sender: str | None = None


@dataclass(frozen=True, slots=True)
class SagaCommand:
    """A command as it was read; `whole` is the full body, unknown fields included.

    `text` is the same as JSON, if it is long.
    """

    key: str
    label: str
    payload: JsonValue = field(repr=False)
    whole: Document = field(repr=False)
    text: JsonText | None = field(default=None, repr=False)


def saga_key(body: object) -> str | None:
    """The id of the saga that waits for an event; None if the body has no valid one."""
    key = body.get("key") if isinstance(body, dict) else None
    return key if isinstance(key, str) and 0 < len(key) <= LONGEST_KEY else None


def parse_command(body: object, text: JsonText | None = None) -> SagaCommand:
    """The command in a parsed JSON body; `text` is that body, if it is long.

    Raises:
        BadCommand: names what is missing or of the wrong type.
    """
    if not isinstance(body, dict):
        raise BadCommand("The body must be an object with key and value")
    key = saga_key(body)
    if key is None:
        raise BadCommand(f"key must be a string of 1 to {LONGEST_KEY} characters: the saga's id")
    value = body.get("value")
    if not isinstance(value, dict):
        raise BadCommand("value must be an object with messageLabel and messagePayload")
    label = value.get("messageLabel")
    if not isinstance(label, str):
        raise BadCommand("value.messageLabel must be a string")
    if "messagePayload" not in value:
        raise BadCommand("value.messagePayload is required")
    return SagaCommand(key, label, value["messagePayload"], body, text)


class Metadata:
    """Finds the body of a dispatch in a command's payload."""

    def __init__(self, schema: MetadataSchema) -> None:
        self._lists: Mapping[str, list[Path]] = {
            name: [path(text) for text in texts]
            for name, texts in {
                "channels": schema.channels,
                "recipients": schema.recipients,
                "clusters": schema.clusters,
                "to": schema.to,
                "emailAttachments": schema.email_attachments,
                "emailCarbonCopies": schema.email_carbon_copies,
                "emailBlindCarbonCopies": schema.email_blind_carbon_copies,
            }.items()
        }
        self._texts: Mapping[str, Path] = {
            name: path(text)
            for name, text in {
                "messageTitle": schema.message_title,
                "messageContent": schema.message_content,
                "templateId": schema.template_id,
                "emailSender": schema.email_sender,
            }.items()
            if text is not None
        }

    def send_command(
        self, command: SagaCommand, template_id: str | None = None, data: Document | None = None
    ) -> SendCommand:
        """What a command asks to send; a template id or data given here overrides the command's.

        Raises:
            BadCommand: as in `parse_send`, with the paths of the field.
        """
        body: dict[str, object] = {
            name: one.find(command.payload) for name, one in self._texts.items()
        }
        for name, paths in self._lists.items():
            body[name] = self._list(name, paths, command.payload)
        if command.text is not None:
            body["recipients"] = as_string_list(body["recipients"])
            body["to"] = as_documents(body["to"])
        if body["channels"] is None:
            del body["channels"]  # null would be reported as a wrong type, not as missing
        if template_id is not None:
            body["templateId"] = template_id
        body["data"] = (command.text or command.whole) if data is None else as_text(data)
        try:
            return parse_send(body)
        except BadCommand as error:
            whence = self._whence(str(error))
            raise BadCommand(f"{error}{whence}", f"{error.plain}{whence}") from None

    def _list(self, name: str, paths: list[Path], payload: JsonValue) -> JsonValue:
        found = find_list(paths, payload)
        # Duplicates of these count once anyway: a set of a million of them would be a waste.
        counts_once = name in ("channels", "recipients", "clusters")
        return found if found is None or counts_once else once(found)

    def _whence(self, sentence: str) -> str:
        """The places from which the field that starts a sentence is read."""
        known = {**self._lists, **{name: [one] for name, one in self._texts.items()}}
        for name, paths in known.items():
            if sentence.startswith(name) and paths:
                places = ", ".join(f"value.messagePayload.{one.text}" for one in paths)
                return f" ({name} is read from {places})"
        return ""
