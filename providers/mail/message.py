"""One MIME message a delivery: bodies, inline images, attachments, and the envelope around them.

The standard library's `email` reads these messages back in tests, and does not make them: it takes
12 to 20 ms for a mail of 100 KB and seconds for a subject of as much, in which nothing else could
run. What it encodes with (`binascii`, `email.utils`) is used here, too. All bodies are
quoted-printable or base64, so that any server carries them as they are, and no body can hold the
boundary of its parts: `=_` stands in neither encoding.
"""

from __future__ import annotations

import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import Final
from urllib.parse import unquote

from carillon.messages.model import Attachment, Delivery, EmailContent
from carillon.providers.mail.headers import (
    LINE,
    Address,
    address,
    address_lines,
    attachment_name,
    line,
    mailbox,
    mailbox_line,
    media_type,
    text_line,
    unsubscribe_lines,
)
from carillon.providers.mail.html_text import text_of

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_NOT_ASCII: Final = bytes(range(128))
_CHUNK: Final = LINE // 4 * 3 * 1024
"""Bytes of an attachment that are encoded at once."""
_ROW: Final = LINE + 2
_CID: Final = re.compile(r"[\"'( =]cid:([A-Za-z0-9._@+%-]{1,200})", re.I)
_CONTENT_ID: Final = re.compile(r"[A-Za-z0-9._@+-]{1,200}")
_NEW_LINE: Final = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as it goes over the wire.

    `sender` and `recipients` are its envelope, the user first, then copies, then blind copies.
    `size` is that of the message in bytes. It `is_international` when an address in its headers
    or its envelope can be carried by SMTPUTF8 only.
    """

    sender: str
    recipients: Sequence[str]
    is_international: bool
    size: int
    _parts: Sequence[bytes | Attachment] = field(repr=False)

    def pieces(self) -> Iterator[bytes]:
        """The message, in pieces of up to some 80 KB or the length of a body.

        Each ends with a line break. Attachments are encoded only when their turn comes, so that
        mails under way share their bytes.
        """
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
            else:
                yield from _encoded(part.content)

    def whole(self) -> bytes:
        """The message in one."""
        return b"".join(self.pieces())


def mail_of(delivery: Delivery, now: datetime, unsubscribe: str | None = None) -> Mail:
    """The mail that a delivery is.

    `now` is its date, with a time zone. `unsubscribe` is where its reader leaves the list: an
    https: or mailto: URL.

    Takes time in proportion to its bodies: what is long is made in a thread. Raises NotMailable.
    """
    content, extras = delivery.content, delivery.mail
    if not isinstance(content, EmailContent):
        raise TypeError("only an email can be a mail")
    shown, sender = mailbox(delivery.sender, "the sender")
    to = address(delivery.address, "the address")
    copies = [] if extras is None else _distinct(extras.carbon_copies, "a carbon copy")
    blind = [] if extras is None else _distinct(extras.blind_carbon_copies, "a blind carbon copy")
    head = "".join(
        [
            mailbox_line("From", shown, sender),
            address_lines("To", [to]),
            address_lines("Cc", copies),
            text_line("Subject", content.subject),
            line("Date", format_datetime(now)),
            line("Message-ID", f"<{_known_id(delivery.id)}@{sender.domain}>"),
            unsubscribe_lines(unsubscribe),
            line("MIME-Version", "1.0"),
        ]
    )
    attachments = () if extras is None else extras.attachments
    parts = [head.encode(), *_Body(content, attachments, delivery.id).parts]
    envelope = [to, *copies, *blind]
    return Mail(
        sender=sender.spelt,
        recipients=list(dict.fromkeys(one.spelt for one in envelope)),
        is_international=any(one.is_international for one in [sender, *envelope]),
        size=sum(len(one) if isinstance(one, bytes) else _encoded_size(one) for one in parts),
        _parts=parts,
    )


def _known_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError("not the id of a delivery")
    return text


def _distinct(texts: Sequence[str], whose: str) -> list[Address]:
    return [address(text, whose) for text in dict.fromkeys(texts)]


class _Body:
    """What follows a mail's head: its first part's own headers, and all parts."""

    def __init__(
        self, content: EmailContent, attachments: Sequence[Attachment], identity: str
    ) -> None:
        self.parts: list[bytes | Attachment] = []
        self._identity = identity
        self._levels = 0
        html = content.html
        inline = {} if html is None else _inline(html, attachments)
        loose = [one for one in attachments if id(one) not in inline]
        if not loose:
            self._bodies(content, attachments, inline)
            return
        boundary = self._open("mixed")
        self._next(boundary)
        self._bodies(content, attachments, inline)
        for one in loose:
            self._next(boundary)
            self._attach(one, None)
        self._close(boundary)

    def _bodies(
        self,
        content: EmailContent,
        attachments: Sequence[Attachment],
        inline: dict[int, str],
    ) -> None:
        html = content.html
        if html is None:
            self._text("plain", content.text or "")
            return
        boundary = self._open("alternative")
        self._next(boundary)
        said = content.text or ""
        self._text("plain", said if said.strip() else text_of(html))
        self._next(boundary)
        if inline:
            self._related(html, attachments, inline)
        else:
            self._text("html", html)
        self._close(boundary)

    def _related(
        self, html: str, attachments: Sequence[Attachment], inline: dict[int, str]
    ) -> None:
        boundary = self._open("related", '; type="text/html"')
        self._next(boundary)
        self._text("html", html)
        for one in attachments:
            if id(one) in inline:
                self._next(boundary)
                self._attach(one, inline[id(one)])
        self._close(boundary)

    def _open(self, kind: str, parameters: str = "") -> str:
        self._levels += 1
        boundary = f"=_{self._identity}_{self._levels}"
        kind = f"multipart/{kind}{parameters}"
        self._say(line("Content-Type", f'{kind};\r\n boundary="{boundary}"') + "\r\n")
        return boundary

    def _next(self, boundary: str) -> None:
        self._say(f"--{boundary}\r\n")

    def _close(self, boundary: str) -> None:
        self._say(f"--{boundary}--\r\n")

    def _text(self, kind: str, text: str) -> None:
        data = _NEW_LINE.sub("\r\n", text).encode(errors="replace")
        in_base64 = 6 * len(data.translate(None, _NOT_ASCII)) > len(data)
        self._say(
            line("Content-Type", f"text/{kind}; charset=utf-8")
            + line("Content-Transfer-Encoding", "base64" if in_base64 else "quoted-printable")
            + "\r\n"
        )
        if in_base64:
            self.parts += _encoded(data)
        else:
            self.parts.append(b2a_qp(data + b"\r\n"))  # its first break says what breaks are

    def _attach(self, file: Attachment, content_id: str | None) -> None:
        kind = media_type(file.media_type)
        if kind.lower().startswith(("multipart/", "message/")):  # these may not be in base64
            kind = "application/octet-stream"
        disposition = "attachment" if content_id is None else "inline"
        self._say(
            line("Content-Type", kind)
            + line("Content-Transfer-Encoding", "base64")
            + line("Content-Disposition", disposition + attachment_name(file.name))
            + ("" if content_id is None else line("Content-ID", f"<{content_id}>"))
            + "\r\n"
        )
        self.parts.append(file)

    def _say(self, text: str) -> None:
        self.parts.append(text.encode())


def _inline(html: str, attachments: Sequence[Attachment]) -> dict[int, str]:
    """The files that the HTML shows, by their identity, each with its content id.

    `cid:` and the name of a file that has letters, digits and `._@+-` only.
    """
    if not attachments or "cid:" not in html.lower():
        return {}
    names = {unquote(found) for found in _CID.findall(html)}
    shown: dict[str, int] = {}
    for one in attachments:
        if one.name in names and _CONTENT_ID.fullmatch(one.name):
            shown.setdefault(one.name, id(one))
    return {identity: name for name, identity in shown.items()}


def _encoded(content: bytes) -> Iterator[bytes]:
    """Base64 in lines of 76 characters, each with its break; an empty line where there is none."""
    if not content:
        yield b"\r\n"
    view = memoryview(content)
    for start in range(0, len(content), _CHUNK):
        text = b2a_base64(view[start : start + _CHUNK], newline=False)
        rows = [text[at : at + LINE] for at in range(0, len(text), LINE)]
        yield b"\r\n".join([*rows, b""])


def _encoded_size(file: Attachment) -> int:
    characters = (len(file.content) + 2) // 3 * 4
    return characters + 2 * max(1, -(-characters // LINE))
