"""TLS without a socket: what is said goes in, records come out, and the other way round."""

from __future__ import annotations

import ssl
from typing import Final

import trio

_READ_BYTES: Final = 64 * 1024


class Secured:
    """One TLS session. Errors are `ssl.SSLError`; the certificate must be for `host`."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def greet(self, records: bytes | None) -> tuple[bytes, bool]:
        """Take what arrived, None at first; give what is to be sent, and whether that was all."""
        if records is not None:
            self._arrived(records)
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return self._outgoing.read(), False
        return self._outgoing.read(), True

    def encrypt(self, data: bytes | memoryview) -> bytes:
        """The records for this."""
        left = memoryview(data)
        while left:
            left = left[self._session.write(left) :]
        return self._outgoing.read()

    def decrypt(self, records: bytes | None) -> tuple[bytes, bool]:
        """What these records say, perhaps nothing yet, and whether that is the end of it all.

        None for what came with the last of the handshake, where the other side speaks first.
        A stream cut off without a farewell ends too, as many servers leave like that; where
        an answer ends is for HTTP to say.
        """
        if records is not None:
            self._arrived(records)
        parts: list[bytes] = []
        try:
            while part := self._session.read(_READ_BYTES):
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts), False
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            pass
        return b"".join(parts), True

    def _arrived(self, records: bytes) -> None:
        if records:
            self._incoming.write(records)
        else:
            self._incoming.write_eof()


async def shake_hands(connected: trio.socket.SocketType, session: Secured) -> int:
    """Until both sides may speak; how many bytes were written for that.

    Raises OSError, of which `ssl.SSLError` is one.
    """
    records, done = session.greet(None)
    written = 0
    while True:
        left = memoryview(records)
        written += len(records)
        while left:
            left = left[await connected.send(left) :]
        if done:
            return written
        records, done = session.greet(await connected.recv(_READ_BYTES))
