"""A long list of JSON values, kept as JSON to save memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar, overload

from pydantic_core import from_json

T = TypeVar("T")


class JsonList(Sequence[T]):
    """Its items are parsed some at a time, when they are used."""

    __slots__ = ("_blocks", "_ends", "_last")

    def __init__(self, blocks: Iterable[tuple[bytes, int]]) -> None:
        """Each block is the JSON of some items without brackets, and their number."""
        self._blocks: list[bytes] = []
        self._ends: list[int] = []
        total = 0
        for text, number in blocks:
            total += number
            self._blocks.append(text)
            self._ends.append(total)
        self._last: tuple[int, list[T]] = (-1, [])

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            if step == 1:
                return self._part(start, stop)
            return [self[place] for place in range(start, stop, step)]
        place = at + len(self) if at < 0 else at
        if not 0 <= place < len(self):
            raise IndexError(at)
        return self._part(place, place + 1)[0]

    def __iter__(self) -> Iterator[T]:
        for number in range(len(self._blocks)):
            yield from self._items(number)

    @property
    def size(self) -> int:
        """The approximate size of its JSON in bytes."""
        return sum(map(len, self._blocks))

    def json(self) -> list[bytes]:
        """The whole list as a JSON array, in parts."""
        marked = [part for block in self._blocks for part in (b",", block)]
        return [b"[", *marked[1:], b"]"]

    def blocks(self) -> Iterator[list[T]]:
        """Its items, some at a time."""
        for number in range(len(self._blocks)):
            yield self._items(number)

    def _part(self, start: int, stop: int) -> list[T]:
        found: list[T] = []
        number = bisect_right(self._ends, start)
        while start < stop:
            before = self._ends[number] - len(self._items(number))
            found += self._items(number)[start - before : stop - before]
            start = self._ends[number]
            number += 1
        return found

    def _items(self, number: int) -> list[T]:
        last, items = self._last
        if last != number:
            items = self._parsed(self._blocks[number])
            self._last = number, items
        return items

    def _parsed(self, block: bytes) -> list[T]:
        items: list[T] = from_json(b"[" + block + b"]")
        return items
