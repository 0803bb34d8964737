"""A log beside the embedded store: what must be durable at once, and may reach its tables later.

A commit of SQLite costs some 200 µs of CPU however little is in it, and the loop as much again,
since each statement gives the GIL away and takes it back. Attempts must be durable before their
bytes leave, 20 at a time; so they are appended here, with one write and one fdatasync a group, and
go into the tables by the hundred. The tables say up to which group they have it all.

Two files take turns: one is restarted once the tables have everything that is in it. They are
reserved and written full of zeros when they are made, since a sync of a file that does not grow is
cheaper. A group is its length, the CRC-32 of the rest, the id of its life, its number and a text.

A log belongs to one life of one store: from one start to the next, which begins another life. A
log of another life is never replayed, nor written over: it is set aside.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from carillon.stores.private_files import open_private

_HEAD: Final = struct.Struct("<II8sQ")
_CHECKED: Final = 8  # bytes of the head, from which on the checksum counts
SEGMENT: Final = 1 << 21
"""Bytes after which the other file is begun: some half a second at full speed."""
MOST_BYTES: Final = 1 << 28  # of a group that is read: what is longer is no group
_UNRESERVED: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
"""What a file system answers that cannot reserve room."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in the files beside a store: its groups by number, and files of other lives."""

    groups: Mapping[int, bytes]
    foreign: Sequence[Path]


def log_paths(store: Path) -> tuple[Path, Path]:
    """Where both files of a store are."""
    return store.with_name(f"{store.name}-log0"), store.with_name(f"{store.name}-log1")


def look(store: Path, life: bytes, before: bytes) -> Found:
    """The groups of a life, in files that are only read.

    A file is of another life when its first group is neither of this one nor of the one `before`,
    whose groups the tables have. Raises OSError.
    """
    groups: dict[int, bytes] = {}
    foreign: list[Path] = []
    for path in log_paths(store):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            owner = _owner(descriptor)
            if owner == life:
                groups.update(_groups(descriptor, life))
            elif owner not in {None, before}:
                foreign.append(path)
        finally:
            os.close(descriptor)
    return Found(groups, foreign)


def set_aside(paths: Sequence[Path]) -> Sequence[Path]:
    """Rename files so that they are no store's log; returns the new names. Raises OSError."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    renamed: list[Path] = []
    for path in paths:
        if path.exists():
            number, target = 1, path.with_name(f"{path.name}.aside-{stamp}")
            while target.exists():
                number += 1
                target = path.with_name(f"{path.name}.aside-{stamp}-{number}")
            renamed.append(path.rename(target))
    return renamed


def _owner(descriptor: int) -> bytes | None:
    """The id in a file's first group; None when no whole group begins it."""
    head = os.pread(descriptor, _HEAD.size, 0)
    if len(head) < _HEAD.size:
        return None
    owner: bytes = _HEAD.unpack(head)[2]
    return owner if any(True for _ in _groups(descriptor, owner)) else None


def _groups(descriptor: int, life: bytes) -> Iterator[tuple[int, bytes]]:
    """Every whole group of a life from the beginning on, with its number."""
    offset = 0
    while len(head := os.pread(descriptor, _HEAD.size, offset)) == _HEAD.size:
        length, checksum, owner, number = _HEAD.unpack(head)
        if not 0 < length < MOST_BYTES or owner != life:
            return
        body = os.pread(descriptor, length, offset + _HEAD.size)
        if zlib.crc32(head[_CHECKED:] + body) != checksum:
            return
        yield number, body
        offset += _HEAD.size + length


class _File:
    """One of the two files; `last` is the number of the last group in it.

    After a write that failed it is `torn`: its group may be there all the same.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = open_private(path, os.O_RDWR)
        self.end = 0
        self.last = 0
        self.torn = False
        try:
            _reserve(self._descriptor)
        except OSError as error:
            # What is not reserved may still be there when it is written, and else that fails.
            if error.errno not in _FULL:
                os.close(self._descriptor)
                raise

    def groups(self, life: bytes) -> Iterator[tuple[int, bytes]]:
        """Every whole group of a life from the beginning on, with its number."""
        return _groups(self._descriptor, life)

    def write(self, data: bytes, *, sync: bool) -> None:
        """Append. Raises OSError; then it has to be mended before anything else is written."""
        self.torn = True
        self.end = _write_all(self._descriptor, data, self.end, sync=sync)
        self.torn = False

    def mend(self, *, sync: bool) -> None:
        """Make sure that a replay does not find the group whose write failed. Raises OSError."""
        if self.torn:
            _write_all(self._descriptor, bytes(_HEAD.size), self.end, sync=sync)
            self.torn = False

    def forget(self, *, sync: bool) -> None:
        """Make sure that a replay finds no group. Raises OSError."""
        _write_all(self._descriptor, bytes(_HEAD.size), 0, sync=sync)

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


def _reserve(descriptor: int) -> None:
    """Make a file as long as a segment; what is in it is not touched. Raises OSError."""
    end = os.fstat(descriptor).st_size
    if end >= SEGMENT:
        return
    if sys.platform == "linux":
        try:
            os.posix_fallocate(descriptor, end, SEGMENT - end)
        except OSError as error:
            if error.errno not in _UNRESERVED:
                raise
    _write_all(descriptor, bytes(SEGMENT - end), end, sync=False)
    os.fsync(descriptor)


def _write_all(descriptor: int, data: bytes, at: int, *, sync: bool) -> int:
    """Write all of it, in as many writes as that takes; gives where it ends. Raises OSError."""
    left = memoryview(data)
    while left:
        written = _write(descriptor, left, at, sync=sync)
        if written <= 0:
            raise OSError(errno.EIO, "nothing was written")
        left, at = left[written:], at + written
    return at


def _write(descriptor: int, data: memoryview, at: int, *, sync: bool) -> int:
    """Write as much as goes, durably with `sync`; gives the number of bytes. Raises OSError."""
    if sys.platform == "linux" and sync:
        # One call, and so one time to get the GIL back: while the loop is busy that takes long.
        try:
            return os.pwritev(descriptor, [data], at, os.RWF_DSYNC)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:  # some file systems do not know the flag
                raise
    written = os.pwrite(descriptor, data, at)
    if sync:
        os.fsync(descriptor)
    return written


class RedoLog:
    """Both files of one life of a store, which is named by the 8 bytes of its `identity`.

    Raises OSError when it cannot be opened.
    """

    def __init__(self, store: Path, identity: bytes, *, sync: bool) -> None:
        self._files: list[_File] = []
        try:
            for path in log_paths(store):
                self._files.append(_File(path))
        except BaseException:
            self.close()
            raise
        self._identity = identity
        self._sync = sync
        self._active = 0
        self._number = 0

    def begin(self, applied: int) -> Iterator[bytes]:
        """The groups that the tables lack, in order; to be read to the end before any `append`.

        `applied` is the number of the last group that the tables have.
        """
        found = {
            number: body
            for file in self._files
            for number, body in file.groups(self._identity)
            if number > applied
        }
        while (body := found.get(applied + 1)) is not None:
            yield body
            applied += 1
        self._number = applied

    def renew(self, identity: bytes) -> None:
        """Begin the log of another life, of which nothing is there yet. Raises OSError.

        The tables must have everything, durably.
        """
        for file in self._files:
            file.forget(sync=self._sync)
        self._identity = identity

    def append(self, body: bytes, applied: int) -> int:
        """Make a group durable and give its number. `applied` is as for `begin`.

        Raises:
            OSError: it is not durable, and will not be found either once this returns a number
                again: until then nothing else is written.
        """
        for one in self._files:
            one.mend(sync=self._sync)
        file = self._files[self._active]
        other = self._files[1 - self._active]
        if file.end >= SEGMENT and other.last <= applied:
            self._active = 1 - self._active
            other.end = 0
            file = other
        number = self._number + 1
        rest = struct.pack("<8sQ", self._identity, number) + body
        head = struct.pack("<II", len(body), zlib.crc32(rest))
        try:
            file.write(head + rest, sync=self._sync)
        except OSError:
            with suppress(OSError):  # whoever was told so may die before the next one is written
                file.mend(sync=self._sync)
            raise
        file.last = self._number = number
        return number

    def close(self) -> None:
        """Close both files."""
        for file in self._files:
            file.close()
