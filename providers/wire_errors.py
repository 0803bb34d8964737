"""What people and logs are told when no answer came. Exceptions' own texts may name addresses."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator
from os import strerror
from socket import gaierror
from typing import Final

from providers.wire_ports import NotSent

SHORTAGE_SECONDS: Final = 0.25
"""Until a connection is tried again for which descriptors, buffers or ports were lacking."""
DISCONNECTED: Final = "no answer: server disconnected"
LOST: Final = "no answer: connection lost"
NOT_HTTP: Final = "no answer: not HTTP"
EARLY: Final = "answered before the request was sent whole"
FOREIGN: Final = "the answer may be to another request"
CLOSED: Final = "the connection was closed before a byte was taken"

_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL})


def is_ours(error: BaseException) -> bool:
    """Whether no connection could be had for want of something of our own: descriptors, ports.

    Where several addresses were tried, all must have failed for that.
    """
    causes = [one for one in _causes(error) if isinstance(one, OSError) and one.errno]
    return bool(causes) and all(one.errno in _OURS for one in causes)


def unsent_reply(error: BaseException) -> NotSent:
    """What it means that no connection could be had."""
    return NotSent(unsent(error), again_in=SHORTAGE_SECONDS if is_ours(error) else None)


def unsent(error: BaseException) -> str:
    """Why no connection could be had, without host or address."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "TLS certificate not accepted"
        if isinstance(cause, ssl.SSLError):
            return "TLS failed"
        if isinstance(cause, gaierror | UnicodeError):  # the latter: no name can be like this
            return "host name not found"
        if isinstance(cause, OSError) and cause.errno:
            return strerror(cause.errno).lower()
    return "no connection"


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
