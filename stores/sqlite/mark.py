"""The mark beside the embedded store: the last that this host wrote into it.

A store that is put back from a copy looks like any other, and would go on where the copy was made.
So its name, its life and the number of its last write stand in a small file beside it, too, which a
copy of the store's own files leaves behind: its name begins with a dot. A store that says less than
its mark is older than what was written here. The mark also says which group was logged last, so a
redo log that lost its end is known from one that had none.

It is written with each commit and each group, and synchronised at the beginning and the end of a
life only: the death of the process takes nothing from it, and one that a power cut left behind
says too little, which does no harm.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from carillon.stores.private_files import open_private

_TABLES: Final = struct.Struct("<8s8sQQQ")
_LOG: Final = struct.Struct("<8sQ")
_LOG_AT: Final = 64
_ENROLLED: Final = struct.Struct("<8sQQ")
_ENROLLED_AT: Final = 96
_BASE: Final = struct.Struct("<8s")
_BASE_AT: Final = 128
_CHECKSUM: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Marked:
    """What a mark says: a store, its life by id and number, its last write and logged group.

    One that is a `copy` of another file says nothing of this place. `logged` is 0 when the life of
    the log is another one, and `enrolled` is how many deliveries were enrolled in it up to that
    group. With a `base` the main file had this life, whatever its WAL has besides.
    """

    store: bytes
    life: bytes
    number: int
    revision: int
    logged: int
    base: bool
    copy: bool
    enrolled: int = 0


def mark_path(store: Path) -> Path:
    """Where the mark of a store is."""
    return store.with_name(f".{store.name}-mark")


def read_mark(store: Path) -> Marked | None:
    """The mark beside a store; None when there is none that can be read. Raises OSError."""
    try:
        descriptor = os.open(mark_path(store), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        tables = _slot(os.pread(descriptor, _LOG_AT, 0), _TABLES)
        log = _slot(os.pread(descriptor, _LOG_AT, _LOG_AT), _LOG)
        rows = _slot(os.pread(descriptor, _LOG_AT, _ENROLLED_AT), _ENROLLED)
        base = _slot(os.pread(descriptor, _LOG_AT, _BASE_AT), _BASE)
        inode = os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)
    if tables is None:
        return None
    name, life, number, revision, made_as = _TABLES.unpack(tables)
    logged = enrolled = 0
    if log is not None:
        of, last = _LOG.unpack(log)
        logged = last if of == life else 0
    if rows is not None:  # earlier versions did not say it
        of, last, found = _ENROLLED.unpack(rows)
        enrolled = found if of == life and last == logged else 0
    is_copy = made_as != inode
    return Marked(name, life, number, revision, logged, base == life, is_copy, enrolled)


def _slot(found: bytes, form: struct.Struct) -> bytes | None:
    whole = found[: _CHECKSUM.size + form.size]
    if len(whole) < _CHECKSUM.size + form.size:
        return None
    (checksum,) = _CHECKSUM.unpack(whole[: _CHECKSUM.size])
    content = whole[_CHECKSUM.size :]
    return content if zlib.crc32(content) == checksum else None


def _checked(content: bytes) -> bytes:
    return _CHECKSUM.pack(zlib.crc32(content)) + content


class HostMark:
    """The mark of a store while a process serves it. Raises OSError when it cannot be opened.

    `committed` and `logged` may be called from several threads: each writes a place of its own.
    A disk that refuses them does not stop sending.
    """

    def __init__(self, store: Path) -> None:
        self._descriptor = open_private(mark_path(store), os.O_RDWR)
        self._inode = os.fstat(self._descriptor).st_ino
        self._name = b""
        self._life = b""
        self._number = 0
        self._revision = 0

    def begin(self, store: bytes, life: bytes, number: int, revision: int, logged: int) -> None:
        """Begin a life, durably. Raises OSError."""
        self._name, self._life, self._number, self._revision = store, life, number, revision
        self._put(0, self._tables(revision))
        self._put_logged(logged, 0)
        os.fsync(self._descriptor)

    def based(self) -> None:
        """The main file has this life, durably. Raises OSError."""
        self._put(_BASE_AT, _BASE.pack(self._life))
        os.fsync(self._descriptor)

    def committed(self, revision: int) -> None:
        """The tables have this write. Nothing is said before a life has begun."""
        if self._life and revision > self._revision:
            self._revision = revision
            with suppress(OSError):
                self._put(0, self._tables(revision))

    def logged(self, number: int, enrolled: int) -> None:
        """The log has this group, and enrols so many deliveries up to it in this life."""
        with suppress(OSError):
            self._put_logged(number, enrolled)

    def _put_logged(self, number: int, enrolled: int) -> None:
        log = _checked(_LOG.pack(self._life, number)).ljust(_ENROLLED_AT - _LOG_AT, b"\0")
        rows = _checked(_ENROLLED.pack(self._life, number, enrolled))
        os.pwrite(self._descriptor, log + rows, _LOG_AT)

    def _tables(self, revision: int) -> bytes:
        return _TABLES.pack(self._name, self._life, self._number, revision, self._inode)

    def _put(self, at: int, content: bytes) -> None:
        os.pwrite(self._descriptor, _checked(content), at)

    def close(self) -> None:
        """Make it durable, where the disk lets us, and close it."""
        with suppress(OSError):
            os.fsync(self._descriptor)
        os.close(self._descriptor)
