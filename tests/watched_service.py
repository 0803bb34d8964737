"""The service under a watch, a program of its own: for how long its event loop is held.

A line of the file named is written for each time that it was held for longer than a moment, in
seconds. What a busy machine takes is nobody's fault: the time is left out in which the loop's
thread, and the one other that did so longest, could have run and got no processor; and no more is
counted than the processor time that the process had. So it shows both what the loop computes and
what others compute that hold the interpreter; a call that sleeps in the loop it does not show.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import trio

from carillon.app.service import run
from carillon.app.stop import Stop
from carillon.messages.offload import tune_memory
from carillon.settings.loading import load
from carillon.telemetry.logs import make_logger

STEP: Final = 0.005
A_MOMENT: Final = 0.02
_LONGEST_LINE: Final = 64


class Waits:
    """For how long each thread has waited for a processor, as Linux counts it.

    It is read without letting go of the interpreter, or to look would disturb what is looked at.
    """

    def __init__(self) -> None:
        self._files: dict[int, int] = {}
        self._read = ctypes.PyDLL(None).pread
        self._line = ctypes.create_string_buffer(_LONGEST_LINE)

    def now(self) -> Mapping[int, int]:
        """Nanoseconds since each thread began."""
        found: dict[int, int] = {}
        for thread in threading.enumerate():
            if (number := thread.native_id) is None:
                continue
            if number not in self._files:
                name = f"/proc/self/task/{number}/schedstat"
                self._files[number] = os.open(name, os.O_RDONLY)
            size = self._read(self._files[number], self._line, _LONGEST_LINE, 0)
            if size > 0:
                found[number] = int(self._line.raw[:size].split()[1])
        return found

    def since(self, before: Mapping[int, int]) -> float:
        """Seconds of the loop's thread, and of the other one that waited longest."""
        waits = {at: waited - before.get(at, 0) for at, waited in self.now().items()}
        return (waits.pop(os.getpid(), 0) + max(waits.values(), default=0)) / 1e9


async def watch(output: Path) -> None:
    """Write down how long a nap lasts longer than it should, for ever."""
    waits = Waits()
    with output.open("w", buffering=1) as file:
        while True:
            before = waits.now()
            wall, processor = time.perf_counter(), time.process_time()
            await trio.sleep(STEP)
            passed = time.perf_counter() - wall - STEP
            held = min(passed - waits.since(before), time.process_time() - processor)
            if held > A_MOMENT:
                file.write(f"{held:.4f}\n")


async def main(output: Path) -> None:
    """Serve as `carillon serve` does, until SIGTERM."""
    stop = Stop()
    settings = load()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, output)
        nursery.start_soon(stop.on_signals)
        await run(settings, stop, make_logger(settings.server.log_level, sys.stdout))
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    tune_memory()
    trio.run(main, Path(sys.argv[1]))
