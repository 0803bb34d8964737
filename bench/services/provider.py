"""A stand-in for a provider that answers at once: a bare epoll loop, a program of its own.

It must be far faster than what is measured, so it knows just enough HTTP: requests with a
Content-Length, one at a time on a connection. `GET /` takes what was kept of the messages, `GET
/count` tells how many there are so far. With `arrivals` as argument it keeps when each came.
"""

from __future__ import annotations

import re
import select
import socket
import sys
from typing import Final

from bench.arrivals import Clock
from bench.workload import Counting

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_READ: Final = 65_536
_SENT: Final = (
    b'{"dateEvent":"2026-01-01T00:00:00.000Z","numSegments":"1",'
    b'"sid":"SM00000000000000000000000000000000","status":"sent"}'
)

Keeper = Counting | Clock


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


_ACCEPTED: Final = _answer(_SENT)


class _Caller:
    """One connection and what has come of its next request."""

    def __init__(self, connection: socket.socket, keeper: Keeper) -> None:
        self._connection = connection
        self._keeper = keeper
        self._begun = b""

    def read(self) -> bool:
        """Take what is there and answer a request that is whole; False once the caller is gone."""
        data = self._connection.recv(_READ)
        if not data:
            return False
        if self._begun:
            data = self._begun + data
        head = data.find(b"\r\n\r\n")
        found = _LENGTH.search(data, 0, head + 2) if head > 0 else None
        end = head + 4 + (int(found[1]) if found else 0)
        if head < 0 or len(data) < end:
            self._begun = data
            return True
        self._begun = b""
        if data.startswith(b"GET /count"):
            self._connection.sendall(_answer(b"%d" % self._keeper.count))
        elif data.startswith(b"GET"):
            self._connection.sendall(_answer(self._keeper.take()))
        else:
            self._keeper.add(data[head + 4 :])
            self._connection.send(_ACCEPTED)
        return True


def _accept(listener: socket.socket, keeper: Keeper) -> tuple[socket.socket, _Caller]:
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection, _Caller(connection, keeper)


def main() -> None:
    """Serve until killed; the first line printed is the address."""
    keeper = Clock() if "arrivals" in sys.argv[1:] else Counting()
    callers: dict[int, tuple[socket.socket, _Caller]] = {}
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener, select.epoll() as epoll:
        epoll.register(listener, select.EPOLLIN)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        while True:
            for number, _ in epoll.poll():
                if number == listener.fileno():
                    connection, caller = _accept(listener, keeper)
                    epoll.register(connection, select.EPOLLIN)
                    callers[connection.fileno()] = (connection, caller)
                elif not _served(callers[number][1]):
                    connection, _ = callers.pop(number)
                    epoll.unregister(connection)
                    connection.close()


def _served(caller: _Caller) -> bool:
    try:
        return caller.read()
    except ConnectionError:
        return False


if __name__ == "__main__":
    main()
