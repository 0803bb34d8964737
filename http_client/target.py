"""Where a request goes, and the part of its head that is the same from call to call."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import httpx

from carillon.http_client.ports import Headers

_HEADS: Final = 16
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TEXT: Final = re.compile(r"[^\0\r\n]*")


class Origin(NamedTuple):
    """What a connection is for. An IPv6 host stands without its brackets."""

    host: str
    port: int
    secure: bool


def origin_of(url: httpx.URL) -> Origin | None:
    """None for whatever is not plain HTTP on TCP or TLS."""
    host = url.raw_host.decode("ascii")
    if url.scheme not in {"http", "https"} or not host:
        return None
    secure = url.scheme == "https"
    return Origin(host, url.port or (443 if secure else 80), secure)


def check_line(method: str, target: str) -> None:
    """Raises ValueError for a method or target that would not stay in its line."""
    if not _TOKEN.fullmatch(method):
        raise ValueError(f"not an HTTP method: {method!r}")
    if not re.fullmatch(r"[!-~]+", target):
        raise ValueError("not the target of an HTTP request")


def check_header(name: str, value: str) -> None:
    """Raises ValueError for a header that would not stay in its line; never shows its value."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"not the name of an HTTP header: {name!r}")
    if not _TEXT.fullmatch(value):
        raise ValueError(f"the HTTP header {name} holds a line break or NUL")


class Target:
    """An address taken apart once. `origin` is None where httpx has to carry the request."""

    __slots__ = ("_fixed", "_heads", "_path", "origin")

    def __init__(self, url: httpx.URL, *, direct: bool) -> None:
        self.origin = origin_of(url) if direct else None
        self._path = url.raw_path.decode("ascii")
        self._fixed = (
            f"host: {url.netloc.decode('ascii')}\r\n"
            "user-agent: carillon\r\n"
            "accept-encoding: identity\r\n"
        )
        self._heads: dict[tuple[object, ...], bytes] = {}

    def head(self, method: str, headers: Headers) -> bytes:
        """All of a head but the body's length and what ends it.

        Raises ValueError for what would not stay in its line: that is a bug of the caller's.
        """
        key = (method, *headers.items())
        head = self._heads.get(key)
        if head is None:
            head = self._encoded(method, headers)
            if len(self._heads) >= _HEADS:  # headers may vary, as a multipart boundary does
                self._heads.clear()
            self._heads[key] = head
        return head

    def _encoded(self, method: str, headers: Headers) -> bytes:
        check_line(method, self._path)
        for name, value in headers.items():
            check_header(name, value)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        line = f"{method} {self._path} HTTP/1.1\r\n"
        return f"{line}{self._fixed}{lines}content-length: ".encode("latin-1")
