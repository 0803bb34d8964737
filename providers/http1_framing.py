"""A request of httpx's as the bytes of HTTP/1.1: its head, and where its body ends."""

from __future__ import annotations

import httpx

from carillon.providers.http1_target import check_header, check_line


class Framing:
    """The head of a request, and its body as its headers announce it: chunked or of a length."""

    def __init__(self, request: httpx.Request) -> None:
        """Raises `httpx.LocalProtocolError` for what would not stay in its line."""
        self.head = _head(request)
        self._chunked = "transfer-encoding" in request.headers
        self._left = 0 if self._chunked else int(request.headers.get("content-length", 0))

    def framed(self, part: bytes) -> bytes:
        """A part of the body as it is written.

        Raises `httpx.LocalProtocolError` for more than was announced.
        """
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(part), part) if part else b""
        self._left -= len(part)
        if self._left < 0:
            raise httpx.LocalProtocolError("the body is longer than its Content-Length")
        return part

    def end(self) -> bytes:
        """What follows the last part. Raises `httpx.LocalProtocolError` when some is missing."""
        if self._left:
            raise httpx.LocalProtocolError("the body is shorter than its Content-Length")
        return b"0\r\n\r\n" if self._chunked else b""


def _head(request: httpx.Request) -> bytes:
    target = request.url.raw_path.decode("ascii")
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw
    ]
    try:
        check_line(request.method, target)
        for name, value in headers:
            check_header(name, value)
    except ValueError as error:
        raise httpx.LocalProtocolError(str(error)) from None
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return f"{request.method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")
