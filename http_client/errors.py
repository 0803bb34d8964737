"""What people and logs are told when no answer came. Exceptions' own texts may name addresses."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator, Mapping
from os import strerror
from socket import gaierror
from typing import Final

import trio

from carillon.http_client.ports import NotAnswered, NotSent
from carillon.messages.model import FailureKind

SHORTAGE_SECONDS: Final = 0.25
"""Until a connection is tried again for which descriptors, buffers or ports were lacking."""
DISCONNECTED: Final = "no answer: server disconnected"
LOST: Final = "no answer: connection lost"
NOT_HTTP: Final = "no answer: not HTTP"
EARLY: Final = "answered before the request was sent whole"
FOREIGN: Final = "the answer may be to another request"
CLOSED: Final = "the connection was closed before a byte was taken"

_KINDS: Final[Mapping[int, FailureKind]] = {
    errno.EAGAIN: "dns",  # of the resolver, when no name can be looked up
    errno.ETIMEDOUT: "timeout",
    errno.ECONNRESET: "reset",
    errno.ECONNABORTED: "reset",
    errno.EPIPE: "reset",
}
_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL})


def is_ours(error: BaseException) -> bool:
    """Whether no connection could be had for want of something of our own: descriptors, ports.

    Where several addresses were tried, all must have failed for that.
    """
    causes = [one for one in _causes(error) if isinstance(one, OSError) and one.errno]
    return bool(causes) and all(one.errno in _OURS for one in causes)


def unsent_reply(error: BaseException) -> NotSent:
    """What it means that no connection could be had."""
    if is_ours(error):
        return NotSent(unsent(error), SHORTAGE_SECONDS, "own-limit")
    return NotSent(unsent(error), kind=_trouble(error)[0])


def garbled(error: str) -> NotAnswered:
    """What it means that something was read, and that it is no answer to this request."""
    return NotAnswered(error, "garbage")


def unsent(error: BaseException) -> str:
    """Why no connection could be had, without host or address."""
    return _trouble(error)[1]


def _trouble(error: BaseException) -> tuple[FailureKind, str]:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "tls", "TLS certificate not accepted"
        if isinstance(cause, ssl.SSLError):
            return "tls", "TLS failed"
        if isinstance(cause, gaierror | UnicodeError):  # the latter: no name can be like this
            return "dns", "host name not found"
        if isinstance(cause, OSError) and cause.errno:
            # Without a way to the other side nobody takes the connection either.
            return _KINDS.get(cause.errno, "refused"), strerror(cause.errno).lower()
    return "refused", "no connection"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that led to it, the members of groups among them."""
    queue: list[BaseException] = [error]
    for cause in queue:
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            queue.extend(cause.exceptions)
        behind = cause.__cause__ or cause.__context__
        if behind is not None:
            queue.append(behind)


BODY_BYTES: Final = 64 * 1024
BODY_SECONDS: Final = 2.0
# Node closes an idle connection after 5 s: one that is almost that old may close under a request,
# and what was written on it would then be in doubt.
IDLE_SECONDS: Final = 4.0
STALE_SECONDS: Final = 0.005
"""A request whose first byte leaves longer after its start than this starts anew."""
# How long before the caller's deadline a body is given up, so that the status still counts.
MARGIN_SECONDS: Final = 0.02
TARGETS: Final = 64
"""How many addresses a wire remembers the parts of: those that vary must not fill the memory."""


def body_deadline(gives_up_at: float) -> float:
    """The `trio.current_time()` at which whatever follows an answer's head is given up.

    That is before the caller gives up: at `gives_up_at`, or when the task is cancelled anyway.
    """
    latest = min(gives_up_at, trio.current_effective_deadline()) - MARGIN_SECONDS
    return min(trio.current_time() + BODY_SECONDS, latest)
