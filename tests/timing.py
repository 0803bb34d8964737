"""Processor time of something that must be quick, the machine's own trouble taken out.

It is that of a thread of its own: what another test has left to run in a thread does not count,
and neither does how deep in calls the test itself stands. CPython keeps the frames of calls in
chunks of 16 KB; where a loop's calls begin just where a chunk ends, each of them gets a chunk from
the system and gives it back, which takes ten times as long as the call. A new thread begins with a
chunk of its own.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

TRIES = 3
ITS_SECONDS = 0.018
"""What `_measure_of_the_machine` takes on a core that nobody else uses."""


def quickest(run: Callable[[], object], enough: float) -> float:
    """The least processor time in seconds of up to three runs; the first quick one ends it.

    Other work on the machine slows a run down, and so does collecting the garbage of other tests;
    neither is the fault of what is measured, and neither ever makes it faster. A core whose other
    half is busy with somebody else's work counts twice the time for the same work: a run's time is
    that of a core at its usual speed, by a measure taken before and after it.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_least, run, enough).result()


def _least(run: Callable[[], object], enough: float) -> float:
    times: list[float] = []
    while len(times) < TRIES and (not times or min(times) >= enough):
        gc.collect()
        gc.freeze()  # what other tests left is not looked through again and again
        before = _measure_of_the_machine()
        start = time.thread_time()
        run()
        taken = time.thread_time() - start
        slowness = min(before, _measure_of_the_machine()) / ITS_SECONDS
        times.append(taken / max(1.0, slowness))
        gc.unfreeze()
    return min(times)


def _measure_of_the_machine() -> float:
    """Processor time of work that is always the same."""
    start = time.thread_time()
    found: dict[int, str] = {}
    for number in range(100_000):
        found[number % 1000] = str(number)
    return time.thread_time() - start
