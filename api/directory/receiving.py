"""A file of documents that a caller sends: kept in full before any of it is used."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, Final, cast

import trio
from quart import Request
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from carillon.api.body import Body
from carillon.api.errors import UnsupportedMediaType
from carillon.messages.errors import TryLater

MOST_BYTES: Final = 1024 * 1024 * 1024
"""Bytes of a file; more is for the command line, beside the store."""
SILENCE: Final = 30.0
"""Seconds for which nothing of it may come."""
SLOWEST: Final = 262_144
"""Bytes that must have come in that time: no other import may begin meanwhile."""
_IN_MEMORY: Final = 8 * 1024 * 1024
_TYPES: Final = frozenset(
    {
        "application/json",
        "application/jsonl",
        "application/jsonlines",
        "application/json-lines",
        "application/ndjson",
        "application/x-ndjson",
    }
)


@asynccontextmanager
async def received(request: Request) -> AsyncGenerator[BinaryIO]:
    """The whole body of a request as a file that lives as long as the body of this runs.

    Raises:
        UnsupportedMediaType: it is neither JSON nor JSON lines.
        RequestEntityTooLarge: it is too long.
        RequestTimeout: nothing came for too long.
        TryLater: there is no place for it.
    """
    if request.mimetype not in _TYPES or request.headers.get("Content-Encoding"):
        raise UnsupportedMediaType(
            "The body must be application/x-ndjson, one document a line, or application/json, "
            "without Content-Encoding"
        )
    if (request.content_length or 0) > MOST_BYTES:
        raise RequestEntityTooLarge
    with SpooledTemporaryFile(_IN_MEMORY) as file:
        await _fill(cast("BinaryIO", file), request)
        file.seek(0)
        yield cast("BinaryIO", file)


async def _fill(file: BinaryIO, request: Request) -> None:
    if not isinstance(request.body, Body):  # every request of ours has one
        raise TypeError(type(request.body))
    size = looked_at = 0
    began = trio.current_time()
    async with aclosing(request.body.stream(SILENCE)) as parts:
        async for part in parts:
            size += len(part)
            if size > MOST_BYTES:
                raise RequestEntityTooLarge
            if trio.current_time() - began > SILENCE:
                if size - looked_at < SLOWEST:
                    raise RequestTimeout
                began, looked_at = trio.current_time(), size
            try:
                file.write(part)
            except OSError as error:
                raise TryLater(f"The file cannot be kept: {error.strerror}") from None
