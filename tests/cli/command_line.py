"""Runs commands: in this process for units, as the real console script for whole paths."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from click.testing import CliRunner, Result

from carillon.cli.main import main

SCRIPT = str(Path(sys.executable).with_name("carillon"))


def invoke(*words: str, stdin: str | bytes | None = None, **environ: str) -> Result:
    """Run a command in this process; what is no expected failure is raised."""
    result = CliRunner().invoke(
        main, words, input=stdin, env={"STORE_URL": None, "CARILLON_URL": None, **environ}
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def clean_environment(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Nothing of ours but what is given: the machine's own settings must not decide a test."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "HOME": str(folder), "COLUMNS": "100", **environ}


async def script(
    folder: Path,
    *words: str,
    stdin: bytes = b"",
    environ: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run the console script in a folder."""
    with trio.fail_after(60):
        return await trio.run_process(
            [SCRIPT, *words],
            stdin=stdin,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=folder,
            env=clean_environment(folder, environ or {}),
        )


class Started:
    """A command that goes on, and what it has said."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.out = b""

    @property
    def text(self) -> str:
        """What it wrote to stdout so far."""
        return self.out.decode()

    async def says(self, text: str) -> str:
        """Everything so far, once this text is among it."""
        assert self.process.stdout is not None
        with trio.fail_after(30):
            while text.encode() not in self.out:
                more = await self.process.stdout.receive_some()
                assert more, f"it ended before it said {text!r}: {self.text}"
                self.out += more
        return self.text

    async def ends(self, signal: int) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(signal)
        with trio.fail_after(30):
            return await self.process.wait()


@asynccontextmanager
async def started(command: list[str], folder: Path, **environ: str) -> AsyncGenerator[Started]:
    """A command around the body; it is killed if it outlives it."""
    with (folder / "stderr").open("wb") as errors:
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env=clean_environment(folder, environ),
        )
    try:
        yield Started(process)
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            if process.stdout is not None:
                await process.stdout.aclose()
