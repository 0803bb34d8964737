"""Turns records of a topic into commands, as `@mia-platform/flow-manager-client` writes them.

The record's key is the saga's id, its value `{messageLabel, messagePayload}`. Others may use the
topic too: a record that is not a command for us is skipped and reported with the reason, never with
its contents.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Literal, cast

from pydantic_core import to_json

from carillon.kafka.ports import Record
from carillon.messages.errors import BadCommand
from carillon.messages.json_bounds import MOST_VALUES, Bounds, TooManyValues
from carillon.messages.json_input import JsonText, read_json
from carillon.messages.model import Document
from carillon.messages.offload import SMALL
from carillon.sagas.command import saga_key

SkipReason = Literal["no-key", "too-large", "not-json", "no-label", "other-label"]

_MARK: Final = b"\0"


@dataclass(frozen=True, slots=True)
class StreamCommand:
    """A record as the body of a command; `name` identifies it among all records of all times.

    `text` is the body as JSON, if it is long. A record that is delivered again has the same name,
    also after a restart.
    """

    name: str
    key: str = field(repr=False)
    body: Document = field(repr=False)
    text: JsonText | None = field(default=None, repr=False)


class RecordReader:
    """Tells commands from other records. Without `labels` every label makes a command.

    A record with more bytes or JSON values than the bounds is not a command.
    """

    def __init__(
        self,
        labels: Collection[str] | None = None,
        most_bytes: int = 2**24,
        most_values: int = MOST_VALUES,
    ) -> None:
        self._labels = None if labels is None else frozenset(labels)
        self._most_bytes = most_bytes
        # `any_key`: a command with a forbidden key is refused later, not skipped: its saga waits.
        self._bounds = Bounds(most_values, any_key=True)

    def read(self, record: Record) -> StreamCommand | SkipReason:
        """The command in a record, or why there is none."""
        key = saga_key({"key": _text(record.key)})
        if key is None:
            return "no-key"
        raw = record.value or b""
        try:
            value = self._value(raw)
        except TooManyValues:
            return "too-large"
        except BadCommand:
            return "not-json"
        label = value.get("messageLabel") if isinstance(value, dict) else None
        if not isinstance(label, str):
            return "no-label"
        if self._labels is not None and label not in self._labels:
            return "other-label"
        body = cast("Document", {"key": key, "value": value})
        return StreamCommand(_name(record), key, body, _whole(key, raw))

    def _value(self, raw: bytes) -> object:
        if len(raw) > self._most_bytes:
            raise TooManyValues("The record has too many bytes")
        return read_json(raw, self._bounds)


def _whole(key: str, raw: bytes) -> JsonText | None:
    """The body of a long command as JSON; None for a short one."""
    if len(raw) <= SMALL:
        return None
    return JsonText(b'{"key":' + to_json(key) + b',"value":' + raw + b"}")


def _text(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return None


def _name(record: Record) -> str:
    """A digest of place, time and contents: a topic that is recreated counts from 0 again."""
    digest = sha256(f"{record.place}\0{record.at}\0{len(record.key or b'')}".encode())
    for part in (record.key, record.value):
        digest.update(_MARK + (part or b""))
    return digest.hexdigest()
