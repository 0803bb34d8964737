"""What all connections share: the headers of every answer, and who hears of what goes wrong.

An error below the application ends its own connection: one line of the log, one count, no more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol
from wsgiref.handlers import format_date_time

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable

from carillon.api.server.caller_stream import CallerGone, CallerStalled

Kind = Literal["protocol", "stalled", "crash", "full", "descriptors"]
"""What an error of a connection counts as: no HTTP, an answer that nobody takes, a bug, one
connection too many, no descriptor left to accept it with."""
Application = Callable[[Any, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]

_ALWAYS: Final = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


class ConnectionErrors(Protocol):
    """Counts errors of connections."""

    def connection_failed(self, kind: str) -> None:
        """Count one."""


@dataclass(frozen=True, slots=True)
class Peers:
    """Addresses and ports of the two ends; None where an end has none."""

    client: tuple[str, int] | None
    server: tuple[str, int] | None


class Exchange:
    """What the connections of one listener share."""

    def __init__(self, logger: logging.Logger, counts: ConnectionErrors) -> None:
        self._logger = logger
        self._counts = counts
        self._second = 0
        self._headers: Sequence[tuple[bytes, bytes]] = ()
        self._lines = b""
        self.is_leaving = False
        """Whether the service stops, so that no connection waits for another request."""

    def answer_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """What every answer carries; answers hold ids, so nobody may keep them."""
        self._date()
        return self._headers

    def answer_lines(self) -> bytes:
        """The same as they are written, each with its line break."""
        self._date()
        return self._lines

    def _date(self) -> None:
        """Make them once a second: they hold the date."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._headers = ((b"date", format_date_time(second).encode("ascii")), *_ALWAYS)
            self._lines = b"".join(b"%s: %s\r\n" % header for header in self._headers)

    async def run(
        self,
        app: Application,
        scope: object,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        """Have the application answer. A bug of it is logged and counted, not raised.

        Raises:
            CallerGone: the caller hung up.
        """
        try:
            await app(scope, receive, send)
        except Exception as error:
            gone, bug = _split(error, CallerGone)
            if bug is not None:
                self._crashed(bug)
            if gone is not None:
                raise _first(gone) from None

    def refused(self, status: int, why: str) -> None:
        """Log and count a request that was answered below the application."""
        self._tell(logging.INFO, "request refused", "protocol", status=status, why=why)

    def full(self, most: int) -> None:
        """Log and count a connection too many."""
        self._tell(logging.WARNING, "connection refused", "full", connections=most)

    def lacking(self, why: str) -> None:
        """Log and count that nothing can be accepted at this moment."""
        self._tell(logging.ERROR, "connections cannot be accepted", "descriptors", why=why)

    def failed(self, error: BaseException) -> None:
        """Log and count what ended a connection; that a caller hung up is no error."""
        stalled, rest = _split(error, CallerStalled)
        _, bug = _split(rest, CallerGone)
        if stalled is not None:
            self._tell(logging.WARNING, "connection ended", "stalled", why=str(_first(stalled)))
        if bug is not None:
            self._crashed(bug)

    def _crashed(self, bug: BaseException) -> None:
        self._counts.connection_failed("crash")
        self._logger.error("connection failed", exc_info=bug, extra={"fields": {"kind": "crash"}})

    def _tell(self, level: int, message: str, kind: Kind, **fields: object) -> None:
        self._counts.connection_failed(kind)
        self._logger.log(level, message, extra={"fields": {"kind": kind, **fields}})


def _split(
    error: BaseException | None, kind: type[Exception]
) -> tuple[BaseException | None, BaseException | None]:
    """What is of this kind, and the rest."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(kind)
    return (error, None) if isinstance(error, kind) else (None, error)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
