"""Starts the programs that take part, reads what they print, and ends them whatever happens."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import warm

_ADDRESS: Final = re.compile(rb"http://127\.0\.0\.1:\d+")
_START: Final = 30.0
_DRAIN: Final = 15.0
_ROOT: Final = Path(__file__).parent.parent


class ChildError(Exception):
    """A program did not start, or ended with an error; the text holds its last words."""


@dataclass(frozen=True, slots=True)
class Server:
    """A program that listens."""

    url: str
    pid: int


@contextmanager
def server(
    command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a program that prints its address; the body begins when it has."""
    with log.open("wb") as output, _running(command, output.fileno(), environ) as process:
        yield Server(_address(command, lambda: process.poll() is None, log), process.pid)


@contextmanager
def warm_server(
    command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """The same of one of our programs, by a process that has imported it before."""
    with log.open("wb") as output:
        its_own = os.environ if environ is None else environ
        process = warm.start(command, output.fileno(), its_own, errors=True)
    try:
        assert process.pid is not None
        yield Server(_address(command, process.is_alive, log), process.pid)
    finally:
        process.terminate()
        process.join(_DRAIN)
        process.kill()
        process.join()


def module(name: str, *arguments: object) -> list[str]:
    """The command that runs one of our modules."""
    return [sys.executable, "-m", name, *map(str, arguments)]


def answer_of(command: Sequence[str]) -> dict[str, float]:
    """Run a program to its end; the JSON object in the last line that it prints."""
    with _running(command, subprocess.PIPE, None) as process:
        output, _ = process.communicate()
    if process.returncode:
        raise ChildError(f"{' '.join(command)}: {_last_words(output)}")
    answer: dict[str, float] = json.loads(output.splitlines()[-1])
    return answer


@contextmanager
def _running(
    command: Sequence[str], output: int, environ: Mapping[str, str] | None
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environ,
        cwd=_ROOT,
        start_new_session=True,  # Ctrl-C is for us alone; we end the others, once
    )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.terminate()
        process.wait(_DRAIN)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.kill()  # also when a second Ctrl-C cuts the wait short
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _address(command: Sequence[str], lives: Callable[[], bool], log: Path) -> str:
    deadline = time.monotonic() + _START
    while lives() and time.monotonic() < deadline:
        if found := _ADDRESS.search(log.read_bytes()):
            return found[0].decode()
        time.sleep(0.02)
    raise ChildError(f"{command!r} did not start: {_last_words(log.read_bytes())}")


def _last_words(output: bytes) -> str:
    return output.decode(errors="replace")[-2000:].strip()
