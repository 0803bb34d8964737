"""What people are told when a neighbour over HTTP gave no answer: words, and no class of Python."""

from __future__ import annotations

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
        return str(error) or "no connection"
    found = (words for kind, words in _WORDS if isinstance(error, kind))
    return next(found, "its address cannot be asked")
