"""What people and logs are told when no answer came. Exceptions' own texts may name addresses."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from os import strerror
from socket import gaierror
from typing import Final

DISCONNECTED: Final = "no answer: server disconnected"
LOST: Final = "no answer: connection lost"
NOT_HTTP: Final = "no answer: not HTTP"


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
