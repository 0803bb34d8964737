"""Throws mutated byte streams at a living service.

`python -m tests.api.server.fuzz --count 200000` does it.

Inputs are drawn from a seed and a number, so that any of them can be sent again (`--first`). Every
other one hangs up after so many bytes of a stream that is well-formed, at each byte in turn; the
rest are mutated. After each hundred the service must answer a probe.
"""

from __future__ import annotations

import argparse
import itertools
import random
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

import httpx
import trio

from carillon.messages.model import Document
from tests.process import heard_process
from tests.running import sandbox_configuration

BATCH: Final = 100
CALLERS: Final = 20
USERS: Final[Sequence[Document]] = [{"_id": "ada", "emailAddress": "ada@example.com"}]
PROBE_SECONDS: Final = 10.0


def _post(path: bytes, body: bytes, *more: bytes) -> bytes:
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" % path
    return head + b"".join(b"%s\r\n" % header for header in more) + b"\r\n" + body


def frame(kind: int, flags: int, stream: int, data: bytes = b"") -> bytes:
    return (
        struct.pack(">I", len(data))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + data
    )


def block(*headers: tuple[bytes, bytes]) -> bytes:
    return b"".join(
        b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in headers
    )


def request(stream: int, method: bytes, path: bytes, *more: tuple[bytes, bytes]) -> bytes:
    pseudo = ((b":method", method), (b":path", path), (b":scheme", b"http"), (b":authority", b"x"))
    return frame(1, 4 if more else 5, stream, block(*pseudo, *more))


SEND: Final = b'{"channels":["email"],"recipients":["ada"],"messageTitle":"T","messageContent":"C"}'
CHUNKED: Final = b"10\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (SEND[:16], len(SEND) - 16, SEND[16:])
LENGTH: Final = b"Content-Length: %d" % len(SEND)
UPGRADE: Final = b"GET /-/healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
WEBSOCKET: Final = (
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
JSON: Final = (b"content-type", b"application/json")

STREAMS: Final[Sequence[bytes]] = (
    b"GET /-/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /-/ready?a=%20&b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2,
    b"HEAD /dispatches/x HTTP/1.1\r\nHost: x\r\nX-Request-Id: 1\r\n\r\n" * 3,
    b"GET http://x/nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\nCONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n",
    _post(b"/send", SEND, LENGTH) * 2,
    _post(b"/send", CHUNKED, b"Transfer-Encoding: chunked"),
    _post(b"/send", CHUNKED, b"Transfer-Encoding: chunked", LENGTH),
    _post(b"/send", SEND, LENGTH, b"Expect: 100-continue"),
    _post(b"/nope", SEND * 50, b"Content-Length: %d" % (len(SEND) * 50)),
    _post(b"/send", SEND, LENGTH, b"X: 1\r\n folded"),
    UPGRADE + WEBSOCKET + b"\x81\x85\x01\x02\x03\x04hello\x88\x80\0\0\0\0",
    UPGRADE + b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n" + PREFACE,
    PREFACE + request(1, b"GET", b"/-/healthz") + request(3, b"HEAD", b"/-/ready"),
    PREFACE
    + request(1, b"POST", b"/send", JSON)
    + frame(0, 0, 1, SEND[:20])
    + frame(0, 1, 1, SEND[20:])
    + frame(6, 0, 0, b"12345678"),
    PREFACE
    + request(1, b"POST", b"/nope", JSON)
    + frame(0, 0, 1, SEND * 20)
    + frame(3, 0, 1, b"\0\0\0\x08")
    + frame(8, 0, 0, b"\0\0\1\0"),
    PREFACE + b"".join(frame(2, 0, at, b"\0\0\0\0\x10") for at in range(1, 40, 2)),
    PREFACE
    + frame(1, 0, 1, block((b":method", b"GET"), (b":path", b"/")))
    + frame(9, 4, 1, block((b":scheme", b"http"), (b":authority", b"x")))
    + frame(7, 0, 0, bytes(8)),
    PREFACE
    + frame(4, 0, 0, struct.pack(">HI", 4, 0))
    + b"".join(request(at, b"GET", b"/-/healthz") + frame(3, 0, at, bytes(4)) for at in (1, 3)),
)
PREFIXES: Final = [(at, end) for at, stream in enumerate(STREAMS) for end in range(len(stream))]
TOKENS: Final = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"\xff", b"\xc3\xa9", b"%00", b"..", b"//",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n",
    b"Transfer-Encoding: gzip\r\n", b"Upgrade: websocket\r\n", b"Expect: 100-continue\r\n",
    b"HTTP/2.0", b"HTTP/1.0", b"99999999999999999999999", b"fffffffffffffff\r\n", b"0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", PREFACE, b"X" * 20_000, b"\xef\xbb\xbf",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Input:
    """What one caller does: its pieces, and whether it reads before it hangs up, and how."""

    pieces: Sequence[bytes]
    reads: bool
    resets: bool
    ends: bool


def make_input(seed: int, number: int) -> Input:
    """The input of a number."""
    draw = random.Random(f"{seed}:{number}")
    if number % 2:
        at, end = PREFIXES[number // 2 % len(PREFIXES)]
        return Input([STREAMS[at][:end]], draw.random() < 0.1, draw.random() < 0.5, ends=False)
    data = bytearray(draw.choice(STREAMS))
    for _ in range(draw.choice((1, 1, 2, 3, 8))):
        _mutate(data, draw)
    cuts = sorted(draw.randrange(len(data) + 1) for _ in range(draw.choice((0, 0, 1, 3))))
    edges = [0, *cuts, len(data)]
    pieces = [bytes(data[begin:end]) for begin, end in itertools.pairwise(edges)]
    return Input(pieces, draw.random() < 0.4, draw.random() < 0.3, draw.random() < 0.3)


def _mutate(data: bytearray, draw: random.Random) -> None:
    at = draw.randrange(len(data) + 1)
    end = min(len(data), at + draw.choice((1, 1, 2, 5, 20, 200)))
    match draw.randrange(7):
        case 0 if at < len(data):
            data[at] = draw.randrange(256)
        case 1 if at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        case 2:
            del data[at:end]
        case 3:
            data[at:at] = data[at:end]
        case 4:
            data[at:at] = draw.randbytes(draw.choice((1, 3, 9, 50)))
        case 5:
            data[at:end] = draw.choice(STREAMS)
        case _:
            data[at:at] = draw.choice(TOKENS)


async def send_input(address: tuple[str, int], given: Input) -> None:
    """Be the caller of an input."""
    with trio.socket.socket() as caller, trio.move_on_after(0.5):
        try:
            await caller.connect(address)
            for piece in given.pieces:
                if piece:
                    await caller.send(piece)
                await trio.lowlevel.checkpoint()
            if given.ends:
                caller.shutdown(socket.SHUT_WR)
            if given.reads:
                with trio.move_on_after(0.05):
                    await caller.recv(65_536)
            if given.resets:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass


@dataclass(slots=True)
class Found:
    """What was seen of the service; memory in MiB."""

    inputs: int = 0
    slowest_probe: float = 0.0
    memory: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    """Errors of connections by kind; a `crash` is a bug of ours that ended one connection."""
    log: bytearray = field(default_factory=bytearray, repr=False)

    @property
    def crashes(self) -> list[bytes]:
        """What the log says of bugs, and of anything else that is an error."""
        return [
            line for line in bytes(self.log).splitlines() if not line.startswith(b'{"level": 30')
        ]


async def fuzz(folder: Path, numbers: Sequence[int], seed: int, *, h2c: bool) -> Found:
    """Send inputs to a service of its own.

    Raises:
        AssertionError: it ended, or did not answer a probe.
    """
    found = Found()
    environ = {"HTTP_H2C": "true" if h2c else "false"}
    async with heard_process(folder, sandbox_configuration(), USERS, found.log.extend, environ) as (
        it,
        url,
    ):
        at = urlsplit(url)
        address = (at.hostname or "", at.port or 0)
        async with httpx.AsyncClient(base_url=url, timeout=PROBE_SECONDS) as client:
            await _watch(client, it.pid, found)
            for begin in range(0, len(numbers), BATCH):
                batch = iter(numbers[begin : begin + BATCH])
                async with trio.open_nursery() as nursery:
                    for _ in range(CALLERS):
                        nursery.start_soon(_call, address, seed, batch)
                found.inputs += min(BATCH, len(numbers) - begin)
                assert it.returncode is None, f"it ended before input {numbers[begin] + BATCH}"
                began = time.monotonic()
                answer = await client.get("/-/ready", headers={"Connection": "close"})
                assert answer.status_code == 200, answer.text
                found.slowest_probe = max(found.slowest_probe, time.monotonic() - began)
                if begin // BATCH % 100 == 0:
                    await _watch(client, it.pid, found)
            await trio.sleep(7)  # the longest that a connection is kept for nothing
            await _watch(client, it.pid, found)
            found.errors = await _errors(client)
    return found


async def _call(address: tuple[str, int], seed: int, numbers: Iterator[int]) -> None:
    for number in numbers:
        await send_input(address, make_input(seed, number))


async def _watch(client: httpx.AsyncClient, pid: int, found: Found) -> None:
    await client.get("/-/ready", headers={"Connection": "close"})
    _look(pid, found)


def _look(pid: int, found: Found) -> None:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    found.memory.append(round(pages * 4096 / 2**20, 1))
    found.descriptors.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))


async def _errors(client: httpx.AsyncClient) -> dict[str, int]:
    text = (await client.get("/-/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("carillon_connection_errors_t")]
    return {line.split('"')[1]: int(float(line.split()[-1])) for line in lines}


def main(arguments: Sequence[str] | None = None) -> None:
    """Send many inputs, half of them to a service that speaks HTTP/2, and print what was seen."""
    parser = argparse.ArgumentParser(prog="tests.api.server.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    for h2c in (False, True):
        half = given.count // 2
        numbers = range(given.first + h2c * half, given.first + h2c * half + half)
        with TemporaryDirectory() as folder:
            found = trio.run(partial(fuzz, Path(folder), numbers, given.seed, h2c=h2c))
        sys.stdout.write(f"HTTP/2 {'on' if h2c else 'off'}: {found}\n")
        for line in found.crashes:
            sys.stdout.write(f"{line.decode()}\n")


if __name__ == "__main__":
    main()
