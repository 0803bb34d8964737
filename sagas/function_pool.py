"""The processes in which an installation's functions run: starts, calls and kills them.

Each process is an interpreter of its own that runs `function_process.py`. It serves many calls, one
at a time; if a call takes too long the process is killed together with its children.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio
from pydantic_core import from_json, to_json

from carillon.messages.errors import BadCommand, CarillonError, FunctionFailed, TryLater
from carillon.messages.model import JsonValue
from carillon.sagas import function_process as wire

SECONDS: Final = 1.0
"""How long one call may take, from the moment its process has read it."""
AT_ONCE: Final = 10
"""How many calls run at once, each in its own process; two processes are kept when idle."""
LONGEST_WAIT: Final = 10.0
"""Most seconds that a call waits for a process, and that a process may take to load its files."""

_KEPT: Final = 2
_PATIENCE: Final = 0.02
"""Seconds that a call waits for a free process before another one is started."""
_LARGE: Final = 256 * 1024
"""Bytes above which an answer is parsed in a thread, outside the event loop."""
_SHORT: Final = 0.1
_NICENESS: Final = 10
"""The niceness of a process after a call of more than `_SHORT` seconds, from then on."""
_REAPING: Final = 2.0
_PROGRAM: Final = str(Path(wire.__file__))


@dataclass(frozen=True, slots=True)
class Program:
    """What the processes run: the functions of one folder, and their environment variables."""

    setup: wire.Setup
    environ: Mapping[str, str]


class FunctionPool:
    """Calls functions in processes, each of which serves one call at a time.

    A process is started when one is needed, and kept for the next call.
    """

    def __init__(self, program: Program, seconds: float = SECONDS) -> None:
        """`seconds` is how long one call may take."""
        self._program = program
        self._seconds = seconds
        self._give, self._free = trio.open_memory_channel[_Process](AT_ONCE)
        self._all: set[_Process] = set()

    @property
    def processes(self) -> int:
        """How many processes there are now."""
        return len(self._all)

    async def load(self) -> Sequence[str | None]:
        """Start a process; returns for each function what is wrong with it, or None.

        Raises:
            TryLater: no process can be started.
        """
        process = await self._take()
        try:
            return await process.ready()
        except _Gone:
            wrong = f" is not loaded within {LONGEST_WAIT:g} seconds, or ends its process"
            return [wrong] * len(self._program.setup["functions"])
        finally:
            await self._put_back(process)

    async def call(self, place: int, name: str, command: bytes) -> JsonValue:
        """What the function at `place` returns for a command in JSON; errors give its `name`.

        Raises:
            BadCommand: the function failed on this command, or ended its process.
            FunctionFailed: it took too long, or returned too much or what is not JSON.
            TryLater: no process was free in time, or could be started.
        """
        process = await self._take()
        try:
            # One retry: the process it got may have been damaged by the call before.
            try:
                answer = await process.call(place, name, command, self._seconds)
            except _Again:
                answer = await process.call(place, name, command, self._seconds)
        except _Again as last:
            raise last.told from None
        finally:
            await self._put_back(process)
        return await _parsed(name, answer)

    async def aclose(self) -> None:
        """End every process."""
        for process in list(self._all):
            await process.end()
        self._all.clear()

    async def _take(self) -> _Process:
        with suppress(trio.WouldBlock):
            return self._free.receive_nowait()
        if self._all:
            with trio.move_on_after(_PATIENCE):
                return await self._free.receive()
        if len(self._all) < AT_ONCE:
            process = _Process(self._program)
            self._all.add(process)
            return process
        with trio.move_on_after(LONGEST_WAIT):
            return await self._free.receive()
        raise TryLater("Every process for functions is busy")

    async def _put_back(self, process: _Process) -> None:
        """Keep a process for the next call if a call waits for it or few are kept."""
        state = self._free.statistics()
        is_wanted = state.tasks_waiting_receive > 0
        is_kept = process.is_running and state.current_buffer_used < _KEPT
        if is_wanted or is_kept:
            self._give.send_nowait(process)
        else:
            self._all.discard(process)
            await process.end()


class _Gone(Exception):
    """The process ended, or broke the protocol."""


class _Again(Exception):
    """An earlier call may be to blame: worth a retry in a fresh process."""

    def __init__(self, told: CarillonError) -> None:
        super().__init__()
        self.told = told


class _Process:
    """One process, started when it is needed and not running."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._process: trio.Process | None = None
        self._life = -1
        self._read = bytearray()
        self._problems: Sequence[str | None] | None = None
        self._calls = 0

    @property
    def is_running(self) -> bool:
        """Whether it is running."""
        if self._process is None:
            return False
        # WNOWAIT leaves a zombie: once reaped, its process group's id could belong to others, and
        # `end` kills by that id.
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, look) is None

    async def ready(self) -> Sequence[str | None]:
        """Start it if necessary; returns what is wrong with its functions.

        Raises:
            TryLater: it cannot be started.
            _Gone: it ended, or did not load its files in time.
        """
        if not self.is_running:
            await self.end()
            await self._start()
        if self._problems is None:
            try:
                with trio.fail_after(LONGEST_WAIT):
                    await self._send(wire.SETUP, to_json(self._program.setup))
                    self._problems = from_json(await self._receive(wire.LOADED))
            except (trio.TooSlowError, ValueError):
                raise _Gone from None
            finally:
                if self._problems is None:
                    await self.end()
        return self._problems or ()

    async def call(self, place: int, name: str, command: bytes, seconds: float) -> bytes:
        """The answer in JSON. However it ends, the process has ended or waits for the next call.

        Raises:
            BadCommand, FunctionFailed, TryLater: as `FunctionPool.call` does.
            _Again: the process ended before the call began, or lacked memory for it.
        """
        try:
            if (await self.ready())[place] is not None:
                raise FunctionFailed(f"{name} cannot be loaded any more")
        except _Gone:
            raise FunctionFailed(f"{name} cannot be loaded any more") from None
        is_over = False
        try:
            await self._begin(place, name, command)
            with trio.fail_after(seconds):
                kind, answer = await self._outcome()
            self._calls += 1
            is_over = kind != wire.NO_MEMORY
        except trio.TooSlowError:
            raise FunctionFailed(f"{name} took too long") from None
        except _Gone:
            raise BadCommand(f"{name} ended its process on this command") from None
        finally:
            was_used = self._calls > 1
            if not is_over:
                await self.end()
        return _answer(kind, answer, name, was_used=was_used)

    async def end(self) -> None:
        """Kill the process and its children."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        os.close(self._life)
        self._read.clear()
        self._problems, self._calls = None, 0
        with trio.move_on_after(_REAPING, shield=True):
            await process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    await pipe.aclose()

    async def _start(self) -> None:
        reading, writing = os.pipe()
        try:
            self._process = await trio.lowlevel.open_process(
                [sys.executable, "-I", "-B", _PROGRAM, str(reading)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._program.environ,
                pass_fds=(reading,),
                start_new_session=True,
            )
            self._life = writing
        except OSError as error:
            raise TryLater(f"No process for functions can be started: {error.strerror}") from None
        finally:
            os.close(reading)
            if self._process is None:
                os.close(writing)

    async def _begin(self, place: int, name: str, command: bytes) -> None:
        """Send the call and wait until it was read: from then on the function is to blame."""
        try:
            with trio.fail_after(LONGEST_WAIT):
                await self._send(wire.CALL, bytes((place,)) + command)
                await self._receive(wire.BEGUN)
        except (_Gone, trio.TooSlowError):
            raise _Again(FunctionFailed(f"The process of {name} ended")) from None

    async def _send(self, kind: bytes, content: bytes) -> None:
        if self._process is None or self._process.stdin is None:
            raise _Gone
        try:
            await self._process.stdin.send_all(wire.HEAD.pack(kind, len(content)) + content)
        except trio.BrokenResourceError:
            raise _Gone from None

    async def _receive(self, expected: bytes) -> bytes:
        kind, content = await self._frame()
        if kind != expected:
            raise _Gone
        return content

    async def _outcome(self) -> tuple[bytes, bytes]:
        """The result of a call. A long one goes on at a lower priority than the service."""
        with trio.move_on_after(_SHORT):
            return await self._frame()
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.setpriority(os.PRIO_PGRP, self._process.pid, _NICENESS)
        return await self._frame()

    async def _frame(self) -> tuple[bytes, bytes]:
        """The next frame, whole or not at all, so that it is safe to cancel."""
        await self._read_up_to(wire.HEAD.size)
        kind, length = wire.HEAD.unpack_from(self._read)
        if length > wire.ANSWER_BYTES:
            raise _Gone
        end = wire.HEAD.size + length
        await self._read_up_to(end)
        content = bytes(self._read[wire.HEAD.size : end])
        del self._read[:end]
        return kind, content

    async def _read_up_to(self, length: int) -> None:
        if self._process is None or self._process.stdout is None:
            raise _Gone
        while len(self._read) < length:
            try:
                part = await self._process.stdout.receive_some(1 << 16)
            except trio.BrokenResourceError:
                raise _Gone from None
            if not part:
                raise _Gone
            self._read += part


def _answer(kind: bytes, content: bytes, name: str, *, was_used: bool) -> bytes:
    """The result of a call; `was_used` means that an earlier call may have taken its memory."""
    match kind:
        case wire.RETURNED:
            return content
        case wire.NO_JSON:
            raise _no_json(name)
        case wire.TOO_LARGE:
            raise FunctionFailed(f"{name} returned more than {wire.ANSWER_BYTES:,} bytes")
        case wire.NO_MEMORY:
            failed = BadCommand(f"{name} failed on this command: MemoryError")
            raise _Again(failed) if was_used else failed
        case wire.FAILED:
            told = content.decode(errors="replace")
            raise BadCommand(f"{name} failed on this command: {told}")
    raise BadCommand(f"{name} ended its process on this command")


async def _parsed(name: str, answer: bytes) -> JsonValue:
    try:
        if len(answer) > _LARGE:
            return await trio.to_thread.run_sync(_value, answer)
        return _value(answer)
    except ValueError:
        raise _no_json(name) from None


def _value(answer: bytes) -> JsonValue:
    value: JsonValue = from_json(answer, allow_inf_nan=False)
    return value


def _no_json(name: str) -> FunctionFailed:
    return FunctionFailed(f"{name} returned something that is not JSON")
