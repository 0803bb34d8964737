"""A log beside the embedded store: what must be durable at once, and may reach its tables later.

A commit of SQLite costs some 200 µs of CPU however little is in it, and the loop as much again,
since each statement gives the GIL away and takes it back. Attempts must be durable before their
bytes leave, 20 at a time; so they are appended here, with one write and one fdatasync a group, and
go into the tables by the hundred. The tables say up to which group they have it all.

Two files take turns: one is begun anew once the tables have everything that is in it. They are
written full of zeros when they are made, since a sync of a file that does not grow is cheaper.
A group is its length, the CRC-32 of the rest, the id of its store, its number and a JSON text.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from stores.private_files import open_private

_HEAD: Final = struct.Struct("<II8sQ")
_CHECKED: Final = 8  # bytes of the head, from which on the checksum counts
SEGMENT: Final = 1 << 21
"""Bytes after which the other file is begun: some half a second at full speed."""
MOST_BYTES: Final = 1 << 28  # of a group that is read: what is longer is no group


class _File:
    """One of the two files; `last` is the number of the last group in it.

    After a write that failed it is `torn`: its group may be there all the same.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = open_private(path, os.O_RDWR)
        self.end = 0
        self.last = 0
        self.torn = False
        if os.fstat(self._descriptor).st_size < SEGMENT:
            os.pwrite(self._descriptor, bytes(SEGMENT), 0)
            os.fsync(self._descriptor)

    def groups(self, identity: bytes) -> Iterator[tuple[int, bytes]]:
        """Every whole group of a store from the beginning on, with its number."""
        offset = 0
        while len(head := os.pread(self._descriptor, _HEAD.size, offset)) == _HEAD.size:
            length, checksum, owner, number = _HEAD.unpack(head)
            if not 0 < length < MOST_BYTES or owner != identity:
                return
            body = os.pread(self._descriptor, length, offset + _HEAD.size)
            if zlib.crc32(head[_CHECKED:] + body) != checksum:
                return
            yield number, body
            offset += _HEAD.size + length

    def write(self, data: bytes, *, sync: bool) -> None:
        """Append. Raises OSError; then it has to be mended before anything else is written."""
        self.torn = True
        self.end = self._write_at(self.end, data, sync=sync)
        self.torn = False

    def mend(self, *, sync: bool) -> None:
        """See that nobody finds the group whose write failed. Raises OSError."""
        if self.torn:
            self._write_at(self.end, bytes(_HEAD.size), sync=sync)
            self.torn = False

    def _write_at(self, at: int, data: bytes, *, sync: bool) -> int:
        left = memoryview(data)
        while left:
            written = _write(self._descriptor, left, at, sync=sync)
            left, at = left[written:], at + written
        return at

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


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
    """Both files of one store, which is named by the 8 bytes of its `identity`.

    Raises OSError when it cannot be opened.
    """

    def __init__(self, store: Path, identity: bytes, *, sync: bool) -> None:
        self._files = [_File(store.with_name(f"{store.name}-log{number}")) for number in (0, 1)]
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
