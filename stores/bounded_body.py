"""The body of an answer, read within a bound: more than that is never in memory, packed or not."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import httpx
import trio

_PIECE: Final = 256 * 1024
"""Bytes that are decoded at once: a millisecond."""
_ANY_ZLIB: Final = 32 + zlib.MAX_WBITS
"""gzip or zlib, as the data says."""


class TooLarge(Exception):
    """The body is larger than it may be."""


class Undecodable(Exception):
    """The body is coded in a way that was not asked for, is damaged, or ends too early."""


async def read_body(
    answer: httpx.Response,
    most: int,
    before_more: tuple[int, Callable[[], Awaitable[None]]] | None = None,
) -> bytearray:
    """The whole body of a streamed answer, decoded, of at most so many bytes.

    `before_more` is a number of bytes and what is awaited once before more than that are kept.

    Raises:
        TooLarge: there are more.
        Undecodable: it is neither plain nor gzip nor deflate, or not whole.
        httpx.HTTPError: it could not be read.
    """
    decoder = _decoder(answer)
    body = bytearray()
    pause, wait = before_more or (most, trio.lowlevel.checkpoint)
    failure: type[Exception] | None = None
    # Cancelling stops the read at its socket, so that every generator on the way down to it
    # ends; leaving the loop would strand them for the garbage collector.
    with trio.CancelScope() as reading:
        async for part in answer.aiter_raw():
            pieces = iter(()) if failure else decoder.pieces(part)
            try:
                for piece in pieces:
                    size = len(body) + len(piece)
                    if size > most:
                        failure = TooLarge
                        break
                    if len(body) <= pause < size:
                        await wait()
                    body += piece
                    await decoder.rest()
            except zlib.error:
                failure = Undecodable
            if failure:
                reading.cancel()
    if failure:
        raise failure
    if not decoder.is_whole:
        raise Undecodable
    return body


class _Plain:
    """No coding at all."""

    is_whole = True

    async def rest(self) -> None:
        """Nothing was computed that the event loop waited for."""

    def pieces(self, part: bytes) -> Iterator[bytes]:
        """The part as it is."""
        yield part


class _Compressed:
    """gzip, several members of it too, or deflate."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_ANY_ZLIB)
        self.is_whole = True

    async def rest(self) -> None:
        """Let others go on: one part may hold a thousand times its size."""
        await trio.lowlevel.checkpoint()

    def pieces(self, part: bytes) -> Iterator[bytes]:
        """What the part holds, in small pieces. Raises zlib.error."""
        while part:
            if self._inflate.eof:
                self._inflate = zlib.decompressobj(_ANY_ZLIB)
            yield self._inflate.decompress(part, _PIECE)
            self.is_whole = self._inflate.eof
            part = self._inflate.unused_data or self._inflate.unconsumed_tail


def _decoder(answer: httpx.Response) -> _Plain | _Compressed:
    coding = answer.headers.get("content-encoding", "").strip().lower()
    if coding in {"", "identity"}:
        return _Plain()
    if coding in {"gzip", "x-gzip", "deflate"}:
        return _Compressed()
    raise Undecodable
