"""Which allocator the process of the service uses: that of the system, which gives memory back.

CPython's own keeps each block of 1 MB for as long as a single small object lives in it. After a
peak, 15 to 45 MB stayed so, of which less than 2 MB were in use; the system's kept 9 MB. Which one
a process has is decided before it begins, by an environment variable: so it begins once more.
"""

from __future__ import annotations

import os
import sys
from typing import Final

VARIABLE: Final = "PYTHONMALLOC"
"""Python's own; see https://docs.python.org/3/using/cmdline.html#envvar-PYTHONMALLOC."""


def use_system_allocator() -> None:
    """Begin this process again with the system's allocator, under the same id.

    Nothing happens where the process is not the command's own: a program that calls the command in
    its own process keeps what it has.
    """
    if _is_own_process() and sys.platform == "linux":
        os.putenv(VARIABLE, "malloc")
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def _is_own_process() -> bool:
    words = sys.argv[1:]
    return bool(words and sys.executable) and sys.orig_argv[-len(words) :] == words
