"""Files that are named in a configuration are read without blocking.

A pipe in the place of one may have no writer: opening it would block the start.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from pathlib import Path
from typing import Final

PATIENCE: Final = 1.0
"""Seconds in which all of a pipe or a device must have come, such as the shell's `<(…)`."""
_PART: Final = 65_536


def read_start(path: Path, most: int) -> bytes:
    """All that a file holds, or its first bytes where it holds more than that many.

    Raises:
        OSError: it cannot be read, or is a pipe or a device that does not end soon.
        ValueError: no file can have such a path.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        until = None if is_file else time.monotonic() + PATIENCE
        content = bytearray()
        while len(content) < most:
            _wait(descriptor, until)
            part = file.read(min(_PART, most - len(content)))
            if part == b"":
                break
            content += part or b""
    return bytes(content)


def _wait(descriptor: int, until: float | None) -> None:
    """Until there is something to read; what is no stream has that always."""
    if until is None:
        return
    left = until - time.monotonic()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if left <= 0 or not poll.poll(left * 1000):
        why = f"it is a pipe or a device, and does not end within {PATIENCE:g} s"
        raise TimeoutError(errno.ETIMEDOUT, why)
