"""A long list of texts, kept as JSON to save memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pydantic_core import to_json

from carillon.messages.json_list import JsonList

_MANY: Final = 1000


class StringList(JsonList[str]):
    """A long list of texts, kept as JSON: a list of short strings takes ten times the memory."""

    __slots__ = ("longest",)

    def __init__(self, blocks: Iterable[tuple[bytes, int]], longest: int = 0) -> None:
        """Each block is the JSON of some items without brackets, and their number.

        `longest` is the number of characters of the longest item.
        """
        super().__init__(blocks)
        self.longest = longest

    @classmethod
    def of(cls, items: Sequence[str]) -> StringList:
        """A list of these items."""
        parts = (items[at : at + _MANY] for at in range(0, len(items), _MANY))
        blocks = ((to_json(part)[1:-1], len(part)) for part in parts)
        return cls(blocks, max(map(len, items), default=0))
