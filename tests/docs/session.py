"""A shell in which a page's commands run one after the other, as a reader types them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

_SERVES: Final = re.compile(r"(?:\w+=\S+ )*carillon (?:serve|demo)\b")
_FOLLOWS: Final = "carillon providers watch"
_READY: Final = {"serve": "listening on ", "demo": "Ctrl-C ends it"}
_END: Final = b"\n--- done: "
_LONGEST: Final = 60


def serves(words: str) -> bool:
    """Whether a command starts a service, which goes on until Ctrl-C."""
    return _SERVES.match(words) is not None


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed, errors included, and its exit code."""

    output: str
    code: int


def free_ports(count: int) -> Sequence[int]:
    """Ports of loopback that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Session:
    """A bash that remembers its folder and variables.

    What serves goes on beside the commands that follow, and ends the one that served before.
    What would follow a service until Ctrl-C is read for a line.
    """

    def __init__(self, shell: trio.Process, folder: Path) -> None:
        self._shell = shell
        self._folder = folder
        self._served = 0

    async def run(self, words: str) -> Ran:
        """Type a command, and wait for its end, or until it serves."""
        if serves(words):
            return await self._serve(words)
        if words.startswith(_FOLLOWS):
            words = f"{words} | head -n 1"
        return await self._typed(words)

    async def _serve(self, line: str) -> Ran:
        self._served += 1
        log = self._folder / f"service-{self._served}.log"
        log.touch()
        before = "kill $SERVICE && wait $SERVICE" if self._served > 1 else "true"
        ran = await self._typed(f"{before}\n{line} > {log} 2>&1 &\nSERVICE=$!")
        ready = _READY["demo" if "demo" in line else "serve"]
        with trio.move_on_after(_LONGEST):
            while ready not in log.read_text("utf-8"):
                await trio.sleep(0.05)
            return ran
        return Ran(f"it does not serve: {log.read_text('utf-8')}", 1)

    async def _typed(self, line: str) -> Ran:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        typed = f"{{ {line}\n}} < /dev/null\nprintf '\\n--- done: %s\\n' $?\n"
        await self._shell.stdin.send_all(typed.encode())
        output = b""
        with trio.fail_after(_LONGEST):
            while _END not in output or not output.endswith(b"\n"):
                more = await self._shell.stdout.receive_some()
                assert more, f"the shell has ended: {output.decode()}"
                output += more
        text, _, code = output.rpartition(_END)
        return Ran(text.decode(), int(code))


@asynccontextmanager
async def session(folder: Path, environ: Mapping[str, str]) -> AsyncGenerator[Session]:
    """A shell in a folder; what it has started ends with it."""
    process = await trio.lowlevel.open_process(
        ["bash", "--norc"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=environ,
        start_new_session=True,
    )
    try:
        yield Session(process, folder)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with trio.CancelScope(shield=True):
            await process.wait()
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.aclose()
            await process.stdout.aclose()
