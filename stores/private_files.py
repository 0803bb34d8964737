"""Files that only their owner can read or write, whatever the umask says.

The journal holds user ids and texts, so every file beside a store is made with mode 0600. What an
earlier version made with the umask's mode is tightened when it is opened again.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Final

PRIVATE: Final = 0o600
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
"""The permissions of everybody but the owner."""


def open_private(path: Path, flags: int) -> int:
    """A descriptor of a file, which is made when it is not there; `flags` are those of `os.open`.

    Raises:
        OSError: it cannot be opened or made.
    """
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != PRIVATE:
            with suppress(PermissionError):  # another user's file, which this one may still use
                os.fchmod(descriptor, PRIVATE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def make_private(path: Path) -> None:
    """Make an empty file unless one is there, and take away what others may do with that one.

    An existing file is never opened: SQLite's locks are those of the process, and go when any
    descriptor of the file is closed.

    Raises:
        OSError: the file cannot be made.
    """
    target = path.resolve()  # what a link names is made, too
    try:
        os.close(open_private(target, os.O_RDWR | os.O_EXCL))
    except FileExistsError:
        tighten(target)


def tighten(path: Path) -> None:
    """Take away what others may do with a file, where it is there and ours."""
    with suppress(OSError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & OTHERS:
            path.chmod(mode & ~OTHERS)


def replace_private(path: Path, content: bytes) -> None:
    """Replace a file, whoever owns it, with a new one; a reader never sees half of it.

    Raises:
        OSError: The file cannot be written.
    """
    descriptor, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    new = Path(name)
    try:
        with open(descriptor, "wb") as stream:  # noqa: PTH123 - a descriptor
            os.fchmod(descriptor, PRIVATE)
            stream.write(content)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
