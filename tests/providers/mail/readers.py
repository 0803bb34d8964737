"""What others read in a mail: Python's `email`, and `mailparser` in node."""

from __future__ import annotations

import email
import email.policy
import json
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import cast

from tests.docs.pages import ROOT

TOOLS = ROOT / ".mail-test"
IS_THERE = (TOOLS / "installed").exists()
WHY_NOT = "./dev test puts the readers into .mail-test"
READ = ROOT / "tests" / "neighbours" / "mail_tools" / "read.mjs"


@dataclass(frozen=True)
class ReadFile:
    """A part that is no body."""

    name: str | None
    media_type: str
    disposition: str
    cid: str | None
    content: bytes


@dataclass(frozen=True)
class ReadMail:
    """A mail as a program that shows it knows it; names and addresses in pairs."""

    headers: list[str]
    sender: list[tuple[str, str]]
    to: list[tuple[str, str]]
    cc: list[tuple[str, str]]
    subject: str
    text: str | None
    html: str | None
    message_id: str | None
    date: datetime | None
    files: list[ReadFile]


def parsed(message: bytes) -> EmailMessage:
    return email.message_from_bytes(message, policy=email.policy.default)


def by_python(message: bytes) -> ReadMail:
    """Read by the standard library; a defect that it finds is an error."""
    mail = parsed(message)
    for part in mail.walk():
        assert part.defects == []
        assert [one.defects for one in part.values() if one.defects] == []
    return ReadMail(
        headers=[name.lower() for name, _ in mail.items()],
        sender=_addresses(mail, "from"),
        to=_addresses(mail, "to"),
        cc=_addresses(mail, "cc"),
        subject=str(mail["subject"]),
        text=_body(mail, "plain"),
        html=_body(mail, "html"),
        message_id=mail["message-id"],
        date=parsedate_to_datetime(mail["date"]),
        files=[_file(part) for part in mail.walk() if part.get_content_disposition()],
    )


def _addresses(mail: EmailMessage, name: str) -> list[tuple[str, str]]:
    field = mail[name]
    return [] if field is None else [(one.display_name, one.addr_spec) for one in field.addresses]


def _body(mail: EmailMessage, kind: str) -> str | None:
    for part in mail.walk():
        if part.get_content_type() == f"text/{kind}" and not part.get_content_disposition():
            return cast("str", part.get_content()).replace("\r\n", "\n")
    return None


def _file(part: EmailMessage) -> ReadFile:
    cid = part["content-id"]
    return ReadFile(
        part.get_filename(),
        part.get_content_type(),
        part.get_content_disposition() or "",
        None if cid is None else str(cid).strip("<>"),
        cast("bytes", part.get_payload(decode=True)),
    )


def by_node(messages: Sequence[bytes]) -> list[ReadMail]:
    """Read by mailparser, all by one process."""
    asked = json.dumps([b64encode(one).decode() for one in messages])
    done = subprocess.run(
        ["node", READ, TOOLS], input=asked, capture_output=True, text=True, check=True, timeout=120
    )
    return [_told(one) for one in json.loads(done.stdout)]


def _told(told: dict[str, object]) -> ReadMail:
    date = cast("str | None", told["date"])
    return ReadMail(
        headers=cast("list[str]", told["headers"]),
        sender=_pairs(told["from"]),
        to=_pairs(told["to"]),
        cc=_pairs(told["cc"]),
        subject=cast("str", told["subject"]),
        text=cast("str | None", told["text"]),
        html=cast("str | None", told["html"]),
        message_id=cast("str | None", told["messageId"]),
        date=None if date is None else datetime.fromisoformat(date).astimezone(UTC),
        files=[
            ReadFile(
                one["name"],
                cast("str", one["mediaType"]),
                cast("str", one["disposition"]),
                one["cid"],
                b64decode(cast("str", one["content"])),
            )
            for one in cast("list[dict[str, str | None]]", told["attachments"])
        ],
    )


def _pairs(listed: object) -> list[tuple[str, str]]:
    return [(name, address) for name, address in cast("list[tuple[str, str]]", listed)]
