"""Processor time of something that must be quick, the machine's own trouble taken out."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

TRIES = 3


def quickest(run: Callable[[], object], enough: float) -> float:
    """The least processor time in seconds of up to three runs; the first quick one ends it.

    Other work on the machine slows a run down, and so does collecting the garbage of other tests;
    neither is the fault of what is measured, and neither ever makes it faster.
    """
    times: list[float] = []
    while len(times) < TRIES and (not times or min(times) >= enough):
        gc.collect()
        gc.freeze()  # what other tests left is not looked through again and again
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
        gc.unfreeze()
    return min(times)
