"""What an SMTP server says, and what it means for the mail that is on its way.

RFC 5321 (reply codes), RFC 3463 and 2034 (enhanced status codes), and what the large services
answer besides (contracts 2.5).
"""

from __future__ import annotations

import re
from typing import Final, Literal

from carillon.messages.model import Cause, Delivery, FailureKind, Refused, Unavailable
from carillon.messages.record import record
from carillon.providers.privacy import scrubbed

SERVICE: Final = "smtp"
Stage = Literal[
    "the connection", "EHLO", "STARTTLS", "AUTH", "RSET", "MAIL", "RCPT", "DATA", "the message"
]
"""What a reply is to."""
Meaning = Literal["refused", "refused-message", "unavailable", "throttled"]
"""`refused-message` says that only this message is at fault."""

_BEFORE: Final = frozenset({"the connection", "EHLO", "STARTTLS", "AUTH", "RSET"})
"""Nothing of a mail has been said by then: no refusal is of a message."""
_LINE: Final = re.compile(rb"([2-5][0-9]{2})(?:([ -])([^\0\r\n]*))?")
_ENHANCED: Final = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: +|\Z)")
_MOST_BYTES: Final = 65_536
_THROTTLED: Final = re.compile(
    r"throttl|rate.?limit|(?:sending|message) rate|rate exceeded"
    r"|exceeded .{0,40}(?:rate|quota|limit)"
    r"|quota exceeded|too (?:fast|much mail)"
    r"|too many (?:[a-z]+ ){0,2}(?:connections|messages|e?mails|requests)"
    r"|slow down|server busy",
    re.I,
)
_NAMED: Final = re.compile(
    r"queued as ([\w.+=-]{4,100})|\bid=([\w.+=-]{4,100})"
    r"|\A(?:ok:? )?((?=[a-z-]*[0-9])[0-9a-z-]{8,99})\b",
    re.I,
)
_ACCOUNT: Final = frozenset({530, 534, 535, 538})
"""The account is at fault, and not the message: it may be sent once that is mended."""
_OF_MAILBOX: Final = frozenset({"1", "2", "6"})
"""The subjects of enhanced codes that are about one recipient or one content."""
_POLICY: Final = "7"
_EXCEEDED: Final = 552
_TOO_LARGE: Final = frozenset({"5.3.4", "5.2.3"})


class NotSmtp(Exception):
    """What came is no reply of an SMTP server."""


@record(frozen=True, slots=True)
class SmtpReply:
    """One reply, its lines without codes; `enhanced` is empty where the server gives none."""

    code: int
    lines: tuple[str, ...]
    enhanced: str = ""

    @property
    def is_positive(self) -> bool:
        """Whether the command was carried out."""
        return self.code < 300  # noqa: PLR2004 - completion; 3xx asks for more

    @property
    def text(self) -> str:
        """The lines in one."""
        return " ".join(self.lines)


class Replies:
    """Bytes in, replies out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._code = 0
        self._lines: list[str] = []
        self._size = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there that no reply was made of."""
        return not (self._buffer or self._lines)

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        self._buffer += data

    def take(self) -> SmtpReply | None:
        """The next whole reply. Raises NotSmtp."""
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).removesuffix(b"\r")
            del self._buffer[: end + 1]
            self._size += end
            if (reply := self._read(line)) is not None:
                return reply
        if self._size + len(self._buffer) > _MOST_BYTES:
            raise NotSmtp
        return None

    def _read(self, line: bytes) -> SmtpReply | None:
        found = _LINE.fullmatch(line)
        code = 0 if found is None else int(found[1])
        if found is None or (self._lines and code != self._code) or self._size > _MOST_BYTES:
            raise NotSmtp
        self._code = code
        self._lines.append((found[3] or b"").decode(errors="replace"))
        if found[2] == b"-":
            return None
        lines, self._lines, self._size = self._lines, [], 0
        return _reply(code, lines)


def _reply(code: int, lines: list[str]) -> SmtpReply:
    found = _ENHANCED.match(lines[0])
    if found is None or found[1][0] != str(code)[0]:
        return SmtpReply(code, tuple(lines))
    enhanced = found[1]
    texts = [line.removeprefix(enhanced).lstrip(" ") for line in lines]
    return SmtpReply(code, tuple(texts), enhanced)


def meaning(reply: SmtpReply, stage: Stage) -> Meaning:
    """What a reply means that is no success; one that fits no stage is no better than a failure."""
    code = reply.code
    if code < 500:  # noqa: PLR2004
        return "throttled" if code >= 400 and _is_throttled(reply, stage) else "unavailable"  # noqa: PLR2004
    is_of_account = code in _ACCOUNT or reply.enhanced in {"5.7.8", "5.7.9"}
    if stage in _BEFORE or is_of_account or _is_full(reply, stage):
        return "unavailable"
    return "refused-message" if _is_of_message(reply, stage) else "refused"


def _is_full(reply: SmtpReply, stage: Stage) -> bool:
    """Whether it is a mailbox that is full, whatever code says so, or too many recipients."""
    if reply.enhanced == "5.2.2":
        return True
    return stage == "RCPT" and reply.code == _EXCEEDED and reply.enhanced not in _TOO_LARGE


def _is_of_message(reply: SmtpReply, stage: Stage) -> bool:
    subject = reply.enhanced[2:3]
    if stage == "RCPT":
        return subject != _POLICY
    return reply.code == _EXCEEDED or subject in _OF_MAILBOX or reply.enhanced in _TOO_LARGE


def _is_throttled(reply: SmtpReply, stage: Stage) -> bool:
    """Whether the server asks everybody to come later; a recipient's own limit is its own."""
    if stage == "RCPT" and not reply.enhanced.startswith("4.7."):
        return False
    return _THROTTLED.search(reply.text) is not None


def failed(reply: SmtpReply, stage: Stage, delivery: Delivery) -> Refused | Unavailable:
    """What a reply that is no success makes of an attempt, with the server's own words."""
    what = meaning(reply, stage)
    error = told(reply, stage, delivery)
    if reply.code < 400:  # noqa: PLR2004
        return Unavailable(error, cause=Cause("garbage", reply.code))
    kind: FailureKind = "smtp-4xx" if reply.code < 500 else "smtp-5xx"  # noqa: PLR2004
    cause = Cause(kind, reply.code, of_message=what == "refused-message")
    if what in {"refused", "refused-message"}:
        return Refused(error, cause=cause)
    return Unavailable(error, throttled=what == "throttled", cause=cause)


def told(reply: SmtpReply, stage: Stage, delivery: Delivery | None = None) -> str:
    """For people: what was answered to what, and why, addresses and texts taken out."""
    why = scrubbed(reply.text, delivery)
    code = f"{reply.code} {reply.enhanced}".strip()
    return f"{SERVICE} answered {code} to {stage}" + (f": {why}" if why else "")


def message_id(reply: SmtpReply) -> str | None:
    """The name under which the server says that it keeps the mail."""
    found = _NAMED.search(reply.text)
    return None if found is None else next(filter(None, found.groups()))
