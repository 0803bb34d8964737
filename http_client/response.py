"""The answers that come over one connection, parsed by httptools as their bytes arrive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from carillon.http_client.ports import Headers

SWITCHING: Final = 101
FINAL: Final = 200
"""The first status that is no interim answer; only 101 below it is none either."""


@dataclass(slots=True)
class Head:
    """The final head; `fields` are in order, as they came, `version` is like "1.1"."""

    version: str = ""
    reason: bytes = b""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)


def read_head(raw: Sequence[bytes]) -> Head:
    """The last head in what was received until it was whole; what follows it is left out."""
    reader = _Reader()
    with suppress(HttpParserError, HttpParserUpgrade):  # it was parsed before: this ends a body
        reader.parser.feed_data(b"".join(raw))
    return reader.head


class _Reader:
    """What httptools calls."""

    def __init__(self) -> None:
        self.head = Head()
        self.parser = HttpResponseParser(self)
        self._done = False

    def on_message_begin(self) -> None:
        if not self._done:
            self.head = Head()

    def on_status(self, reason: bytes) -> None:
        if not self._done:
            self.head.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._done:
            self.head.fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if status >= FINAL or status == SWITCHING:
            self.head.version = self.head.version or self.parser.get_http_version()
            self._done = True


class LazyHeaders(Mapping[str, str]):
    """Headers by their names in lower case, decoded at the first look."""

    __slots__ = ("_raw", "_values")

    def __init__(self, raw: Sequence[bytes]) -> None:
        self._raw = raw
        self._values: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr(self._read())

    def _read(self) -> dict[str, str]:
        if self._values is None:
            self._values = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in read_head(self._raw).fields
            }
            self._raw = ()
        return self._values


HEAD_BYTES: Final = 64 * 1024
"""A head that is longer and not whole is given up; interim answers before it count."""
_LEAST: Final = 100
_MOST: Final = 599
_VERSIONS: Final = frozenset({"1.1", "1.0"})
_BEGINS: Final = b"HTTP/1."
_HEAD_ENDS: Final = b"\r\n\r\n"
_CODED: Final = re.compile(rb"transfer-encoding", re.IGNORECASE)
# The parser takes these for answers, too.
_OTHERS: Final = re.compile(rb"(?:\A|\n\r?\n)[\r\n]*(?:RTSP|ICE)/")


class NotHttp(Exception):
    """What came is no answer, or its head is too long."""


class Answers:
    """What has come of the answer to the latest request.

    `status` is 0 until its head was read: interim answers (1xx) are passed over, but 101 is an
    answer that ends the connection. `whole` says that its last byte was read, `surplus` that more
    came, `size` how many bytes of its body did. Headers are read when somebody asks for them:
    mostly nobody does. Nor is a plain head parsed that is, byte for byte, the one before.
    """

    __slots__ = (
        "_bodiless",
        "_head",
        "_interim",
        "_keeps_alive",
        "_known",
        "_known_length",
        "_known_status",
        "_parser",
        "_parts",
        "_room",
        "size",
        "status",
        "surplus",
        "whole",
    )

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._bodiless = False
        self._known = b""
        self._known_length = self._known_status = 0
        self.begin()

    def begin(self, *, bodiless: bool = False) -> None:
        """A request is about to leave. `bodiless` is the answer to HEAD, whatever it announces."""
        if self._bodiless:  # the parser still waits for what was announced
            self._parser = HttpResponseParser(self)
        self._bodiless = bodiless
        self._head: list[bytes] = []
        self._interim = False
        self._parts: list[bytes] = []
        self._room = HEAD_BYTES
        self.surplus = False
        self._keeps_alive = False
        self.size = 0
        self.status = 0
        self.whole = False

    def feed(self, data: bytes) -> None:
        """Take what arrived. Raises `NotHttp`."""
        known = self._known
        is_known = known and len(data) == self._known_length and data.startswith(known)
        if is_known and not (self._head or self._bodiless):
            self._take_known(data, len(known))
            return
        if not self.status:
            self._head.append(data)
            self._room -= len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self.whole:
                raise NotHttp from None
            self.surplus = True
        if not self.status and self._room < 0:
            raise NotHttp
        if self.whole:
            self._learn(data)

    def _take_known(self, data: bytes, length: int) -> None:
        """Take a whole answer whose head is the one before; the parser is between two answers."""
        self._head.append(data)
        self._parts.append(data[length:])
        self.size = len(data) - length
        self.status = self._known_status
        self._keeps_alive = self.whole = True

    def _learn(self, data: bytes) -> None:
        """Keep the head of a whole answer that came in one piece and says how long it is."""
        self._known = b""
        if not self.reusable or self._bodiless or self._interim or self._head != [data]:
            return
        length = len(data) - self.size
        head = data[:length]
        if data.find(_HEAD_ENDS) == length - len(_HEAD_ENDS) and not _CODED.search(head):
            self._known, self._known_length = head, len(data)
            self._known_status = self.status

    @property
    def begun(self) -> bool:
        """Whether a byte of it has come."""
        return bool(self._head)

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request: all was read, and nothing more."""
        return self.whole and self._keeps_alive and not self.surplus

    @property
    def until_end(self) -> bool:
        """Whether the body ends where the connection does, as nothing says its length."""
        coding = self.headers.get("transfer-encoding", "").lower()
        return "content-length" not in self.headers and not coding.endswith("chunked")

    @property
    def headers(self) -> Headers:
        """Names in lower case; of a name that came twice the last value."""
        return LazyHeaders(self._head)

    def head(self) -> Head:
        """The final head, once `status` is known."""
        return read_head(self._head)

    def take(self) -> bytes:
        """What came of the body since the last time."""
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # httptools calls these. What one of them raises stops the parser and comes out of `feed`.

    def on_message_begin(self) -> None:
        """The first byte of an answer."""
        if self.whole:
            raise NotHttp

    def on_headers_complete(self) -> None:
        """A head was read."""
        status = self._parser.get_status_code()
        if not _LEAST <= status <= _MOST:
            raise NotHttp
        if status >= FINAL or status == SWITCHING:
            if (self._interim or self._head[0][:7] != _BEGINS) and not self._is_http1():
                raise NotHttp
            self.status = status
            if self._bodiless:
                self.on_message_complete()
        else:
            self._interim = True

    def _is_http1(self) -> bool:
        """For what did not come in one piece; the parser knows no HTTP/1 but 1.0 and 1.1."""
        version = self._parser.get_http_version()
        return version in _VERSIONS and not _OTHERS.search(b"".join(self._head))

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if self.whole:
            raise NotHttp
        self._parts.append(data)
        self.size += len(data)

    def on_message_complete(self) -> None:
        """The last byte of an answer, interim ones included."""
        if self.status:
            self.whole = True
            self._keeps_alive = self._parser.should_keep_alive()
