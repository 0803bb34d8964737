"""The options of `carillon send` as the body of `POST /send`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypedDict

from pydantic_core import from_json

from carillon.cli.failure import BadInput
from carillon.messages.json_keys import RepeatedKey, refuse_repeated
from carillon.messages.model import Document, JsonValue


class SendOptions(TypedDict):
    """The values of the options."""

    channels: tuple[str, ...]
    recipients: tuple[str, ...]
    to_file: str | None
    clusters: tuple[str, ...]
    title: str | None
    text: str | None
    text_file: str | None
    template: str | None
    data: str | None
    attach: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    sender: str | None
    priority: str | None
    time_to_live: str | None
    expires_at: str | None


def dispatch_body(asked: SendOptions) -> Document:
    """The body.

    Raises:
        BadInput: the options contradict each other, or a file cannot be read.
    """
    _check(asked)
    users = [*asked["recipients"], *_lines(asked["to_file"])]
    recipients: list[JsonValue] = [one for one in users if not _is_document(one)]
    inline: list[JsonValue] = [_object("--to", one) for one in users if _is_document(one)]
    is_listed = bool(recipients) or (asked["to_file"] is not None and not inline)
    whole: Document = {
        "channels": [*asked["channels"]],
        "recipients": recipients if is_listed else None,
        "clusters": [*asked["clusters"]] or None,
        "to": inline or None,
        "messageTitle": asked["title"],
        "messageContent": asked["text"]
        if asked["text_file"] is None
        else _read(asked["text_file"]),
        "templateId": asked["template"],
        "data": _data(asked["data"]),
        "emailAttachments": [*asked["attach"]] or None,
        "emailCarbonCopies": [*asked["cc"]] or None,
        "emailBlindCarbonCopies": [*asked["bcc"]] or None,
        "emailSender": asked["sender"],
        "priority": asked["priority"],
        "timeToLive": asked["time_to_live"],
        "expiresAt": asked["expires_at"],
    }
    body: Document = {name: value for name, value in whole.items() if value is not None}
    if "templateId" not in body:
        # The service asks for a title though only emails and push notifications show it.
        body.setdefault("messageTitle", "")
    return body


def _check(asked: SendOptions) -> None:
    texts = [asked["text"], asked["text_file"]]
    if not asked["recipients"] and not asked["clusters"] and asked["to_file"] is None:
        raise BadInput("Nobody to send to: name them with --to, --to-file or --cluster")
    if None not in texts:
        raise BadInput("--text and --text-file cannot both be given")
    if asked["template"] is None and texts == [None, None]:
        raise BadInput("Nothing to send: give --template, or --title and --text")
    if asked["template"] is not None and (asked["title"] is not None or texts != [None, None]):
        raise BadInput("--template stands in place of --title, --text and --text-file")
    titled = {"email", "push"}.intersection(asked["channels"])
    if asked["template"] is None and asked["title"] is None and titled:
        raise BadInput(f"--title is missing: {' and '.join(sorted(titled))} messages have one")
    if [asked["to_file"] == "-", asked["text_file"] == "-", asked["data"] == "@-"].count(True) > 1:
        raise BadInput("Only one of --to-file, --text-file and --data can be stdin")


def _is_document(user: str) -> bool:
    """Whether a user is given as a JSON object, and not by its id."""
    return user.startswith("{")


def _lines(file: str | None) -> list[str]:
    lines = [] if file is None else _read(file).splitlines()
    return [line.strip() for line in lines if line.strip()]


def _data(text: str | None) -> JsonValue:
    if text is None:
        return None
    return _object("--data", _read(text[1:]) if text.startswith("@") else text)


def _object(option: str, given: str) -> Document:
    try:
        value = from_json(given, allow_inf_nan=False)
        refuse_repeated(given)
    except RepeatedKey as error:
        raise BadInput(f"{option}: {error}") from None
    except ValueError as error:
        raise BadInput(f"{option} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadInput(option + ' must be a JSON object such as {"order": 42}')
    return value


def _read(file: str) -> str:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{file} is not UTF-8") from None
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}") from None
