"""How a request is cut for writing: whole when it is small, in shared pieces when it is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from carillon.providers.wire_ports import Body, segments

PIECE_BYTES: Final = 64 * 1024
"""What is copied together to leave in one write; more leaves in pieces of this size."""


def pieces(head: bytes, body: Body) -> Iterable[bytes | memoryview]:
    """A request as it is written; `head` ends where the body's length belongs."""
    if isinstance(body, bytes) and len(body) < PIECE_BYTES:
        return (b"%b%d\r\n\r\n%b" % (head, len(body), body),)
    parts = list(segments(body))
    size = sum(map(len, parts))
    head = b"%b%d\r\n\r\n" % (head, size)
    return (b"".join([head, *parts]),) if size < PIECE_BYTES else sliced(head, *parts)


def sliced(*parts: bytes) -> Iterator[memoryview]:
    """Shared, not copied: TLS would else hold a large attachment a second time."""
    for part in parts:
        for at in range(0, len(part), PIECE_BYTES):
            yield memoryview(part)[at : at + PIECE_BYTES]
