"""Reading the embedded journal beside its writer and never in its way."""

from __future__ import annotations

import json
import sqlite3
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import trio

from messages.errors import BadCommand, JournalUnavailable
from messages.model import JsonValue
from stores.sqlite import connect

T = TypeVar("T")


class SqliteReader:
    """One connection that reads in a thread.

    `flush` makes durable what was handed over: a caller may ask for what was just answered.
    """

    def __init__(self, path: Path, flush: Callable[[], Awaitable[None]]) -> None:
        self._connection = connect(path)
        self._flush = flush
        self._limiter = trio.CapacityLimiter(1)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def read(self, run: Callable[[sqlite3.Connection], T], *, newest: bool = True) -> T:
        """What `run` returns; with `newest` it sees what was handed over and not yet written.

        Raises:
            JournalUnavailable: the journal cannot be read.
        """
        if newest:
            with suppress(JournalUnavailable):  # what was durable before can still be told
                await self._flush()
        try:
            return await trio.to_thread.run_sync(run, self._connection, limiter=self._limiter)
        except sqlite3.Error as error:
            raise JournalUnavailable(f"The journal cannot be read: {error}") from None


def cursor_of(*place: str | int) -> str:
    """A place in a list as an opaque text."""
    return urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def place_of(cursor: str, beginning: list[JsonValue]) -> list[JsonValue]:
    """The place in such a text; "" is the beginning, whose types it must have.

    Raises:
        BadCommand: it is no cursor.
    """
    if not cursor:
        return beginning
    try:
        place = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        place = None
    if (
        not isinstance(place, list)
        or list(map(type, place)) != list(map(type, beginning))
        or not all(map(_is_storable, place))
    ):
        raise BadCommand("cursor must be the next of an earlier answer")
    return place


def _is_storable(part: JsonValue) -> bool:
    """Whether SQLite can compare with it: it takes neither half a letter nor more than 64 bits."""
    if isinstance(part, str):
        return part.encode(errors="ignore").decode() == part
    return not isinstance(part, int) or -(2**63) <= part < 2**63
