"""Garbage, and when not to look for it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collecting_nothing() -> Iterator[None]:
    """Collect no garbage while the body turns a text into many objects, all of which live.

    Collecting would take half of the time of a large template, and most of that of a megabyte of
    JSON, and it blocks everything else.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
