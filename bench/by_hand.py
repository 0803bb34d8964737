"""HTTP by hand on bare trio sockets: the least that a request can cost."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import trio

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_READ: Final = 65_536


def request_head(url: str, path: str) -> bytes:
    """What comes before the length of a POST with JSON, the same for each."""
    return (
        f"POST {path} HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\nuser-agent: bench\r\n"
        "accept-encoding: identity\r\ncontent-type: application/json\r\ncontent-length: "
    ).encode()


class Connection:
    """One keep-alive connection, for one request at a time."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._address = (address.hostname, address.port)
        self._socket = trio.socket.socket()

    async def open(self) -> None:
        """Connect."""
        self._socket.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        await self._socket.connect(self._address)

    def close(self) -> None:
        """Close."""
        self._socket.close()

    async def exchange(self, request: bytes) -> bytes:
        """The whole answer, head included. Raises OSError when there is none, or no 200."""
        sent = await self._socket.send(request)
        while sent < len(request):
            sent += await self._socket.send(request[sent:])
        answer = await self._socket.recv(_READ)
        while not _is_whole(answer):
            more = await self._socket.recv(_READ)
            if not more:
                raise OSError("the server hung up")
            answer += more
        if not answer.startswith(b"HTTP/1.1 200"):
            raise OSError(answer.decode("latin-1"))
        return answer


def is_last(answer: bytes) -> bool:
    """Whether the server closes the connection after this answer."""
    return b"\r\nconnection: close\r\n" in answer


def _is_whole(answer: bytes) -> bool:
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    length = _LENGTH.search(answer, 0, head + 2)
    return length is not None and len(answer) >= head + 4 + int(length[1])
