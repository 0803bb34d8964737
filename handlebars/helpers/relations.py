"""JavaScript's `===`, `<` and String() between any two values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime

from carillon.handlebars.helpers.units import sorting_key
from carillon.handlebars.runtime.values import UNDEFINED, to_number

Text = Callable[[object], str]
_EXACT = 2**53  # larger integers are the same to JavaScript though they differ


def strictly_equal(left: object, right: object) -> bool:
    """JavaScript's `===`: 1 and 1.0 are the same number, objects and lists only themselves."""
    if isinstance(left, str):
        return isinstance(right, str) and left == right
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return to_number(left) == to_number(right)
    return left is right


def identity(value: object) -> object:
    """Return what is equal (`==` and hash) for values that are `===`; nothing for NaN."""
    if isinstance(value, bool) or value is None or value is UNDEFINED:
        return ("constant", value)
    if isinstance(value, int | float):
        number = to_number(value)
        return UNDEFINED if math.isnan(number) else number
    return str(value) if isinstance(value, str) else ("object", id(value))


def order(left: object, right: object, text: Text) -> int | None:
    """Tell how two values stand to `<` and `>`: -1, 0, 1, or None where neither is ever true.

    `text` gives the text of a list or an object.
    """
    left, right = _primitive(left, text), _primitive(right, text)
    if isinstance(left, str) and isinstance(right, str):
        if left.isascii() and right.isascii():
            return (left > right) - (left < right)
        first, second = sorting_key(left), sorting_key(right)
        return (first > second) - (first < second)
    one, two = to_number(left), to_number(right)
    if math.isnan(one) or math.isnan(two):
        return None
    return (one > two) - (one < two)


def _primitive(value: object, text: Text) -> object:
    if isinstance(value, list):
        return text(value)
    if isinstance(value, dict):
        return "[object Object]"
    return to_number(value) if isinstance(value, datetime) else value


def holds(items: Sequence[object], value: object, charge: Callable[[int], None]) -> bool:
    """Return whether one of the items is `===` to a value; `charge` gets the cost."""
    charge(len(items) // 2)
    plain = isinstance(value, str) or (isinstance(value, int | float) and abs(value) < _EXACT)
    if plain and isinstance(items, list) and value not in items:
        return False  # what is not even `==` to Python is not the same
    charge(len(items) // 2)
    return any(strictly_equal(item, value) for item in items)
