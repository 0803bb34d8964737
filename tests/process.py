"""`carillon serve` as a process of its own, which a test may signal and kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from carillon.messages.model import Document
from tests.running import fill_store

SERVE = [str(Path(sys.executable).with_name("carillon")), "serve"]


@asynccontextmanager
async def process(
    folder: Path,
    document: Document,
    users: Sequence[Document] = (),
    command: Sequence[str] = SERVE,
    **environ: str,
) -> AsyncGenerator[tuple[trio.Process, str]]:
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
) -> AsyncGenerator[tuple[trio.Process, str]]:
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
    it = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, env=surroundings)
    assert it.stdout is not None
    async with it.stdout:
        text = ""
        with trio.fail_after(15):
            while "listening on " not in text:
                part = await it.stdout.receive_some()
                assert part, f"it ended early: {text}"
                text += part.decode()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read_on, it.stdout, hear)
            try:
                yield it, text.split("listening on ")[1].split('"')[0]
            finally:
                if it.returncode is None:
                    it.kill()
                    await it.wait()
                nursery.cancel_scope.cancel()


async def _read_on(stream: trio.abc.ReceiveStream, hear: Callable[[bytes], object]) -> None:
    async for part in stream:
        hear(bytes(part))
