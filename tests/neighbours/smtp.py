"""A scriptable SMTP server for tests, on real sockets, that remembers what it took.

    async with smtp_server(SmtpScript(...)) as server:
        await Smtp(where, connect=server.connect).send(...)
    server.mails, server.commands

A `Fault` cuts, stalls or resets a connection once so many bytes were said, or heard. What the
server took is `mails`: whole messages, whether or not it could still say so.
"""

from __future__ import annotations

import socket
import ssl
import struct
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import trio

FaultKind = Literal["cut", "stall", "reset"]
Direction = Literal["said", "heard"]
_RESETS = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Fault:
    """What happens to a connection once the server has said, or heard, so many bytes."""

    kind: FaultKind
    direction: Direction
    after: int


@dataclass(frozen=True)
class SmtpScript:
    """What the server knows and how it answers.

    `answers` are replies by the word of the command (`RCPT`, `DATA`, `.` for the message, `""` for
    the greeting), or by the whole command; without one it says yes. A list is used up one by one,
    the last stays. `early` is said in the middle of a message. `accounts` are users and passwords.
    """

    knows: Sequence[str] = ("PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8")
    answers: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    accounts: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    implicit: bool = False
    early: str | None = None
    extra: str = ""
    """What is said after the reply to a message, as part of the same bytes."""
    delay: float = 0.0
    """Seconds between a whole message and the reply to it."""


@dataclass(frozen=True)
class TakenMail:
    """A message that the server has taken whole, dots taken out."""

    sender: str
    recipients: Sequence[str]
    message: bytes


class _Cut(Exception):
    """The connection ends here."""


class _Wire(trio.abc.Stream):
    """A connection that ends, or stalls, where its fault says."""

    def __init__(self, stream: trio.SocketStream, fault: Fault | None) -> None:
        self._stream = stream
        self._fault = fault
        self.counts: dict[Direction, int] = {"said": 0, "heard": 0}

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        left = self._left("said")
        self.counts["said"] += min(len(data), left)
        await self._stream.send_all(bytes(data)[:left])
        if self.counts["said"] == self._at("said"):
            await self._fail()

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self.counts["heard"] == self._at("heard"):
            await self._fail()
        data = await self._stream.receive_some(min(self._left("heard"), max_bytes or 65_536))
        self.counts["heard"] += len(data)
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _at(self, direction: Direction) -> int | None:
        fault = self._fault
        return fault.after if fault is not None and fault.direction == direction else None

    def _left(self, direction: Direction) -> int:
        at = self._at(direction)
        return 1_000_000_000 if at is None else at - self.counts[direction]

    async def _fail(self) -> None:
        kind = None if self._fault is None else self._fault.kind
        if kind == "stall":
            await trio.sleep_forever()
        if kind == "reset":
            self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETS)
        raise _Cut


class SmtpServer:
    """What came, in order. `faults` are those of the connections to come, first come first."""

    def __init__(self, script: SmtpScript, nursery: trio.Nursery) -> None:
        self.script = script
        self.faults: list[Fault | None] = []
        self.mails: list[TakenMail] = []
        self.commands: list[str] = []
        self.wires: list[_Wire] = []
        self.url = ""
        self._nursery = nursery
        self._used: dict[str, int] = {}

    async def connect(self, host: str, port: int) -> socket.socket:
        """The other end of a new connection: a `Connect`."""
        await trio.lowlevel.checkpoint()
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            ours = socket.create_connection(listening.getsockname())
            theirs, _ = listening.accept()
        ours.setblocking(False)
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
        self._nursery.start_soon(self.serve, stream)
        return ours

    async def serve(self, connected: trio.SocketStream) -> None:
        """One connection, to its end."""
        fault = self.faults.pop(0) if self.faults else None
        wire = _Wire(connected, fault)
        self.wires.append(wire)
        stream: trio.abc.Stream = wire
        try:
            with suppress(_Cut, trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError):
                if self.script.implicit and self.script.tls is not None:
                    stream = trio.SSLStream(wire, self.script.tls, server_side=True)
                await _Conversation(self, stream, secure=self.script.implicit).run()
        finally:
            with trio.CancelScope(shield=True):
                await wire.aclose()

    def answer(self, *names: str, yes: str) -> str:
        """The next reply to what has these names, the closest first."""
        for name in names:
            found = self.script.answers.get(name)
            if isinstance(found, str):
                return found
            if found:
                used = self._used[name] = self._used.get(name, -1) + 1
                return found[min(used, len(found) - 1)]
        return yes


class _Conversation:
    def __init__(self, server: SmtpServer, stream: trio.abc.Stream, *, secure: bool) -> None:
        self._server = server
        self._stream = stream
        self._secure = secure
        self._buffer = b""
        self._said: list[str] = []
        self._sender: str | None = None
        self._recipients: list[str] = []

    async def run(self) -> None:
        await self._say(self._server.answer("", yes="220 stand-in ESMTP"))
        while True:
            line = await self._line()
            if line is None:
                return
            self._server.commands.append(line)
            if await self._answer(line):
                return

    async def _answer(self, line: str) -> bool:
        word = line.partition(" ")[0].upper()
        reply = self._server.answer(line, word, yes="")
        if reply == "hang":
            await trio.sleep_forever()
        if reply.startswith("421"):
            await self._say(reply)
            return True
        match word:
            case "EHLO":
                await self._say(reply or self._greeting())
            case "STARTTLS":
                await self._start_tls(reply)
            case "AUTH":
                await self._authenticate(line, reply)
            case "RSET":
                self._sender, self._recipients = None, []
                await self._say(reply or "250 2.0.0 Ok")
            case "MAIL":
                await self._mail(line, reply)
            case "RCPT":
                await self._recipient(line, reply)
            case "DATA":
                return await self._data(reply)
            case "QUIT":
                await self._say("221 2.0.0 Bye")
                return True
            case _:
                await self._say(reply or "500 5.5.1 What?")
        return False

    def _greeting(self) -> str:
        script = self._server.script
        words = ["stand-in", *script.knows]
        if script.tls is not None and not self._secure:
            words.append("STARTTLS")
        if script.accounts:
            words.append("AUTH PLAIN LOGIN XOAUTH2")
        lines = [f"250-{word}" for word in words[:-1]] + [f"250 {words[-1]}"]
        return "\r\n".join(lines)

    async def _start_tls(self, reply: str) -> None:
        await self._say(reply or "220 2.0.0 Go on")
        if reply or self._server.script.tls is None:
            return
        await self._flush()
        self._stream = trio.SSLStream(self._stream, self._server.script.tls, server_side=True)
        self._secure = True

    async def _authenticate(self, line: str, reply: str) -> None:
        _, how, *proof = line.split(" ")
        if reply:
            await self._say(reply)
        elif how == "PLAIN":
            _, user, password = b64decode(proof[0]).decode().split("\0")
            await self._judge(user, password)
        elif how == "LOGIN":
            user = await self._challenge("Username:")
            await self._judge(user, await self._challenge("Password:"))
        else:
            user, token = b64decode(proof[0]).decode().split("\x01")[:2]
            if self._is_known(user.removeprefix("user="), token.removeprefix("auth=Bearer ")):
                await self._say("235 2.7.0 Hello")
            else:
                await self._say("334 eyJzdGF0dXMiOiI0MDAifQ==")
                await self._flush()
                assert await self._line() == ""
                await self._say("535 5.7.8 No")

    async def _challenge(self, what: str) -> str:
        await self._say("334 " + what)
        await self._flush()
        return b64decode(await self._line() or "").decode()

    async def _judge(self, user: str, password: str) -> None:
        known = self._is_known(user, password)
        await self._say("235 2.7.0 Hello" if known else "535 5.7.8 No")

    def _is_known(self, user: str, password: str) -> bool:
        return self._server.script.accounts.get(user) == password

    async def _mail(self, line: str, reply: str) -> None:
        if not reply:
            self._sender = line.partition("<")[2].rpartition(">")[0]
        await self._say(reply or "250 2.1.0 Ok")

    async def _recipient(self, line: str, reply: str) -> None:
        recipient = line.partition("<")[2].rpartition(">")[0]
        reply = self._server.answer(recipient, yes=reply)
        if self._sender is None:
            await self._say("503 5.5.1 MAIL first")
            return
        if not reply:
            self._recipients.append(recipient)
        await self._say(reply or "250 2.1.5 Ok")

    async def _data(self, reply: str) -> bool:
        if not self._recipients and not reply:
            await self._say("554 5.5.1 No valid recipients")
            return False
        await self._say(reply or "354 Go on")
        if reply and not reply.startswith("354"):
            return False
        if self._server.script.early is not None:
            await self._say(self._server.script.early)
            await self._flush()
        lines: list[bytes] = []
        while (line := await self._raw_line()) != b".":
            if line is None:
                return True
            lines.append(line.removeprefix(b"."))
        message = b"".join(line + b"\r\n" for line in lines)
        answer = self._server.answer(".", yes="250 2.0.0 Ok: queued as 4F7A9")
        if answer.startswith("2") or answer == "hang":
            self._server.mails.append(TakenMail(self._sender or "", self._recipients, message))
        if answer == "hang":
            await trio.sleep_forever()
        await trio.sleep(self._server.script.delay)
        self._sender, self._recipients = None, []
        await self._say(answer + self._server.script.extra)
        return answer.startswith("421")

    # Replies to commands that came together leave together, as those of real servers do.

    async def _say(self, reply: str) -> None:
        self._said.append(f"{reply}\r\n")
        if not self._buffer.strip(b"\n"):
            await self._flush()

    async def _flush(self) -> None:
        said, self._said = "".join(self._said), []
        if said:
            await self._stream.send_all(said.encode())

    async def _line(self) -> str | None:
        line = await self._raw_line()
        return None if line is None else line.decode()

    async def _raw_line(self) -> bytes | None:
        while b"\r\n" not in self._buffer:
            await self._flush()
            data = await self._stream.receive_some()
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line


@asynccontextmanager
async def smtp_server(script: SmtpScript | None = None) -> AsyncIterator[SmtpServer]:
    """A server that takes connections while the body runs."""
    async with trio.open_nursery() as nursery:
        yield SmtpServer(script or SmtpScript(), nursery)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def listening(script: SmtpScript | None = None, port: int = 0) -> AsyncIterator[SmtpServer]:
    """The same at a port, any free one by default: `url` says where, for the variable SMTP_URL."""
    async with smtp_server(script) as server, trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, server.serve, port, host="127.0.0.1")
        listeners = await nursery.start(serve)
        port = listeners[0].socket.getsockname()[1]
        server.url = f"smtp+plain://127.0.0.1:{port}"
        yield server
        nursery.cancel_scope.cancel()
