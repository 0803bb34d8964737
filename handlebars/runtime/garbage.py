"""Garbage, and when not to look for it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collecting_nothing() -> Iterator[None]:
    """While a text becomes many objects all of them live: to look for dead ones is waste.

    It takes half of the time of a large template, and most of that of a megabyte of JSON, and
    nobody else can do anything meanwhile.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
