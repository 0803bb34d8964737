"""The JSON of a value with sorted keys, written in steps that are short for any value."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from carillon.messages.json_input import JsonText
from carillon.messages.json_list import JsonList

_STEP: Final = 262_144
"""Characters that are encoded in one call, which takes up to 3 ms."""

Write = Callable[[bytes], object]


def write_sorted(value: object, write: Write, item: str = ",", name: str = ":") -> None:
    """Write what `json.dumps` makes of a value with sorted keys and these separators.

    A part that is kept as text is written as the value that the text holds.
    """
    _Writer(write, item, name).value(value)


class _Writer:
    def __init__(self, write: Write, item: str, name: str) -> None:
        self._write = write
        self._item = item.encode()
        self._name = name.encode()

    def value(self, value: object) -> None:
        write = self._write
        match value:
            case dict():
                mark = b"{"
                for name in sorted(value):
                    write(mark + _dumped(name) + self._name)
                    self.value(value[name])
                    mark = self._item
                write(b"}" if value else b"{}")
            case JsonText():
                self.value(value.value())
            case JsonList():
                self._items(value.blocks())
            case list():
                self._items([value])
            case str() if len(value) > _STEP:
                write(b'"')
                for at in range(0, len(value), _STEP):
                    write(_dumped(value[at : at + _STEP])[1:-1])
                write(b'"')
            case _:
                write(_dumped(value))

    def _items(self, blocks: Iterable[Sequence[object]]) -> None:
        mark = b"["
        for items in blocks:
            for one in items:
                self._write(mark)
                self.value(one)
                mark = self._item
        self._write(b"[]" if mark == b"[" else b"]")


def _dumped(value: object) -> bytes:
    return json.dumps(value).encode()
