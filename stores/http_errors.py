"""Describes to people why a neighbour over HTTP gave no answer, without Python class names."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from os import strerror
from socket import gaierror
from typing import Final

import httpx

_WORDS: Final = (
    (httpx.ConnectTimeout, "no connection in time"),
    (httpx.TimeoutException, "no answer in time"),
    (httpx.ProxyError, "the proxy did not connect"),
    (httpx.NetworkError, "the connection broke off"),
    (httpx.RemoteProtocolError, "what came is no whole HTTP answer"),
)


def unanswered(error: httpx.HTTPError | httpx.InvalidURL) -> str:
    """Why there is no answer, without an address."""
    if isinstance(error, httpx.ConnectError):
        return _unconnected(error)
    found = (words for kind, words in _WORDS if isinstance(error, kind))
    return next(found, "its address cannot be asked")


def _unconnected(error: BaseException) -> str:
    """What the system says; the texts of clients may name host and port."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return "TLS failed, or its certificate is not accepted"
        if isinstance(cause, gaierror | UnicodeError):
            return "host name not found"
        if isinstance(cause, OSError) and cause.errno:
            return strerror(cause.errno).lower()
    return "no connection"


def _causes(error: BaseException) -> Iterator[BaseException]:
    queue: list[BaseException] = [error]
    for cause in queue:
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            queue.extend(cause.exceptions)
        behind = cause.__cause__ or cause.__context__
        if behind is not None:
            queue.append(behind)
