"""A long list of texts, kept as JSON to save memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, overload

from pydantic_core import from_json, to_json

_MANY: Final = 1000


class StringList(Sequence[str]):
    """A long list of texts, kept as JSON: a list of short strings takes ten times the memory."""

    __slots__ = ("_blocks", "_ends", "_last", "longest")

    def __init__(self, blocks: Iterable[tuple[bytes, int]], longest: int = 0) -> None:
        """Each block is the JSON of some items without brackets, and their number.

        `longest` is the number of characters of the longest item.
        """
        self.longest = longest
        self._blocks: list[bytes] = []
        self._ends: list[int] = []
        total = 0
        for text, number in blocks:
            total += number
            self._blocks.append(text)
            self._ends.append(total)
        self._last: tuple[int, list[str]] = (-1, [])

    @classmethod
    def of(cls, items: Sequence[str]) -> StringList:
        """A list of these items."""
        parts = (items[at : at + _MANY] for at in range(0, len(items), _MANY))
        blocks = ((to_json(part)[1:-1], len(part)) for part in parts)
        return cls(blocks, max(map(len, items), default=0))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            if step == 1:
                return self._part(start, stop)
            return [self[place] for place in range(start, stop, step)]
        place = at + len(self) if at < 0 else at
        if not 0 <= place < len(self):
            raise IndexError(at)
        return self._part(place, place + 1)[0]

    def __iter__(self) -> Iterator[str]:
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

    def blocks(self) -> Iterator[list[str]]:
        """Its items, some thousands at a time."""
        for number in range(len(self._blocks)):
            yield self._items(number)

    def _part(self, start: int, stop: int) -> list[str]:
        found: list[str] = []
        number = bisect_right(self._ends, start)
        while start < stop:
            before = self._ends[number] - len(self._items(number))
            found += self._items(number)[start - before : stop - before]
            start = self._ends[number]
            number += 1
        return found

    def _items(self, number: int) -> list[str]:
        last, items = self._last
        if last != number:
            items = from_json(b"[" + self._blocks[number] + b"]")
            self._last = number, items
        return items
