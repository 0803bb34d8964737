"""The head of an answer, read a second time by whoever wants its headers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

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
