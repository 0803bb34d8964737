"""`carillon serve` as a process of its own, which a test may signal and kill.

It begins warm: `tests.warm` tells how.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import trio

from carillon.messages.model import Document
from tests import warm
from tests.running import fill_store

SERVE = [str(Path(sys.executable).with_name("carillon")), "serve"]


class Process:
    """What `trio.Process` is to a test, of a warm process."""

    def __init__(self, it: ForkServerProcess) -> None:
        assert it.pid is not None
        self.pid = it.pid
        self._it = it

    @property
    def returncode(self) -> int | None:
        """None while it lives; negative where a signal has ended it."""
        return self._it.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """The `returncode`, once it has ended."""
        await trio.lowlevel.wait_readable(self._it.sentinel)
        self._it.join()
        assert self._it.exitcode is not None
        return self._it.exitcode


@asynccontextmanager
async def process(
    folder: Path,
    document: Document,
    users: Sequence[Document] = (),
    command: Sequence[str] = SERVE,
    **environ: str,
) -> AsyncGenerator[tuple[Process, str]]:
    """The process and its address; it is killed at the end, if it lives."""
    async with heard_process(folder, document, users, len, environ, command) as started:
        yield started


@asynccontextmanager
async def heard_process(
    folder: Path,
    document: Document,
    users: Sequence[Document],
    hear: Callable[[bytes], object],
    environ: Mapping[str, str],
    command: Sequence[str] = SERVE,
) -> AsyncGenerator[tuple[Process, str]]:
    """The same; `hear` gets what it logs once it listens."""
    file = folder / "configuration.json"
    file.write_text(json.dumps(document))
    store = folder / "carillon.db"
    if "STORE_URL" not in environ:
        fill_store(store, users)
    surroundings = {
        "PATH": os.environ["PATH"],
        "CONFIGURATION_PATH": str(file),
        "STORE_URL": f"sqlite:///{store}",
        "HTTP_PORT": "0",
        **environ,
    }
    reads, writes = os.pipe()
    try:
        it = Process(warm.start(command, writes, surroundings))
    finally:
        os.close(writes)
    async with trio.lowlevel.FdStream(reads) as stdout, trio.open_nursery() as nursery:
        try:
            text = ""
            with trio.fail_after(15):
                while "listening on " not in text:
                    part = await stdout.receive_some()
                    assert part, f"it ended early: {text}"
                    text += part.decode()
            nursery.start_soon(_read_on, stdout, hear)
            yield it, text.split("listening on ")[1].split('"')[0]
        finally:
            it.kill()
            with trio.CancelScope(shield=True):
                await it.wait()
            nursery.cancel_scope.cancel()


async def _read_on(stream: trio.lowlevel.FdStream, hear: Callable[[bytes], object]) -> None:
    async for part in stream:
        hear(bytes(part))
