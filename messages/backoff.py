"""How long to wait before trying again: exponential, clamped, with full jitter.

"Full jitter" as in the AWS Architecture Blog, *Exponential Backoff And Jitter* (2015): a draw
between nothing and the exponential ceiling spreads a crowd of retries best.
"""

from __future__ import annotations

from collections.abc import Callable
from random import random


def ceiling(attempt: int, first: float, most: float) -> float:
    """The longest wait in seconds after `attempt` (1 is the first) has failed."""
    return min(first * 2.0 ** min(attempt - 1, 32), most)


def jittered(attempt: int, first: float, most: float, draw: Callable[[], float] = random) -> float:
    """A wait in seconds, drawn evenly between nothing and the ceiling."""
    return draw() * ceiling(attempt, first, most)
