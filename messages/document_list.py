"""A long list of objects, kept as JSON to save memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from carillon.messages.json_list import JsonList
from carillon.messages.model import Document

_BLOCK: Final = 16_384
"""Bytes of JSON after which a block ends: about so much is parsed to read one document."""

ReadBlock: TypeAlias = Callable[[bytes], list[Document]]


class DocumentList(JsonList[Document]):
    """A long list of objects, kept as JSON: parsed they may take thirty times the memory."""

    __slots__ = ("_read",)

    def __init__(self, texts: Iterable[bytes], read: ReadBlock) -> None:
        """The objects of these JSON texts; `read` parses some of them, with commas in between."""
        super().__init__(_blocks(texts))
        self._read = read

    def _parsed(self, block: bytes) -> list[Document]:
        return self._read(block)


def _blocks(texts: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    block, size = list[bytes](), 0
    for text in texts:
        if block and size + len(text) > _BLOCK:
            yield b",".join(block), len(block)
            block, size = [], 0
        block.append(text)
        size += len(text)
    if block:
        yield b",".join(block), len(block)
