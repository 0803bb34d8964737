"""The service under a sampler, a program of its own: where its event loop's CPU time goes.

A sampler and no tracer: a tracer makes small functions look dear. The kernel's timer fires by CPU
time of all threads, so each sample weighs what the main thread itself used since the last one.
SIGUSR1 begins; the next one ends and writes seconds by station and module to the file named.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import Final

from bench.stations import place_of
from carillon.app.service import main as serve
from carillon.settings import load

_EVERY: Final = 0.004  # each sample wakes the event loop, so they must be rare


class Sampler:
    """Adds up the main thread's CPU time by the place where it was met."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._last = 0.0
        self._on = False

    def toggle(self, _signal: int, _frame: FrameType | None) -> None:
        """Begin, or end and write."""
        self._on = not self._on
        self._last = time.thread_time()
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, *(2 * (_EVERY,) if self._on else (0, 0)))
        if not self._on:
            unfinished = self._output.with_suffix(".part")
            unfinished.write_text(json.dumps(self._spent))
            unfinished.rename(self._output)

    def _sample(self, _signal: int, frame: FrameType | None) -> None:
        now = time.thread_time()
        self._spent[place_of(frame)] += now - self._last
        self._last = now


def main() -> None:
    """Serve as `carillon serve` does."""
    sampler = Sampler(Path(sys.argv[1]))
    signal.signal(signal.SIGUSR1, sampler.toggle)
    serve(load())


if __name__ == "__main__":
    main()
