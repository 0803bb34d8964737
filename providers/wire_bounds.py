"""What every wire holds to: how much of a body is read, how long, and on how old a connection."""

from __future__ import annotations

from typing import Final

import trio

BODY_BYTES: Final = 64 * 1024
BODY_SECONDS: Final = 2.0
# Node closes an idle connection after 5 s: one that is almost that old may close under a request,
# and what was written on it would then be in doubt.
IDLE_SECONDS: Final = 4.0
STALE_SECONDS: Final = 0.005
"""A request whose first byte leaves longer after its start than this starts anew."""
# How long before the caller's deadline a body is given up, so that the status still counts.
MARGIN_SECONDS: Final = 0.02
TARGETS: Final = 64
"""How many addresses a wire remembers the parts of: those that vary must not fill the memory."""


def body_deadline(gives_up_at: float) -> float:
    """The `trio.current_time()` at which whatever follows an answer's head is given up.

    That is before the caller gives up: at `gives_up_at`, or when the task is cancelled anyway.
    """
    latest = min(gives_up_at, trio.current_effective_deadline()) - MARGIN_SECONDS
    return min(trio.current_time() + BODY_SECONDS, latest)
