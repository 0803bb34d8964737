"""Reads JSON documents one after another, in a list or on their own, of any number of lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

_PART: Final = 1 << 20
_LARGEST: Final = 64 * 1024 * 1024
"""Bytes of one document at most; one that has no end must not fill the memory."""
_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
# What lies before the next bracket outside of a text; without a way back, so that none is slow.
_BRACKET: Final = re.compile(rb'(?:[^"{}\[\]]|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+([{}\[\]])', re.DOTALL)


class NoValue(Exception):
    """A line holds no document; the text says why."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def objects(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The text of each object, and the line that it begins in.

    They stand in a list, or follow each other with nothing but white space between.

    Raises:
        NoValue: something else stands there.
    """
    text = _Text(file)
    is_list = text.next() == b"["
    if is_list:
        text.skip(1)
    is_first = True
    while (mark := text.next()) != b"" and not (is_list and mark == b"]"):
        if is_list and not is_first:
            if mark != b",":
                raise NoValue(
                    text.line, "not valid JSON: a comma or the end of the list is missing"
                )
            text.skip(1)
            mark = text.next()
        if mark != b"{":
            raise NoValue(text.line, "not an object; each document is one, as {…}")
        is_first = False
        yield text.line, text.object()
    if is_list:
        if mark == b"":
            raise NoValue(text.line, "not valid JSON: the list has no end")
        text.skip(1)
        if text.next() != b"":
            raise NoValue(text.line, "not valid JSON: something stands behind the list")


class _Text:
    """A file read in parts; no more than one document is in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._held = b""
        self._at = 0
        self.line = 1

    def next(self) -> bytes:
        """The next byte that is not white space, without taking it; empty at the end."""
        while True:
            space = _SPACE.match(self._held, self._at)
            self.skip(0 if space is None else space.end() - self._at)
            if self._at < len(self._held) or not self._more():
                return self._held[self._at : self._at + 1]

    def skip(self, length: int) -> None:
        """Skip this many bytes."""
        self.line += self._held.count(b"\n", self._at, self._at + length)
        self._at += length

    def object(self) -> bytes:
        """The object that begins here; what its brackets enclose is not checked."""
        begin, end, depth = self.line, self._at, 0
        while True:
            bracket = _BRACKET.match(self._held, end)
            if bracket is None:
                length = end - self._at
                if len(self._held) - self._at > _LARGEST or not self._more():
                    raise NoValue(begin, "not valid JSON: the document that begins here has no end")
                end = self._at + length
                continue
            end = bracket.end()
            depth += 1 if bracket[1] in b"{[" else -1
            if depth == 0:
                found = self._held[self._at : end]
                self.skip(len(found))
                return found

    def _more(self) -> bool:
        part = self._file.read(_PART)
        self._held = self._held[self._at :] + part
        self._at = 0
        return part != b""
