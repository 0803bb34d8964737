"""JavaScript's view of JSON values: what is missing, true, empty, equal; members and key order."""

import math
from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Final, Literal, TypeAlias

from carillon.handlebars.runtime.numbers import number_text

#: What JavaScript's trim and \\s take for space.
JS_SPACE: Final = (
    "\t\n\v\f\r \xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + ("\u2028\u2029\u202f\u205f\u3000\ufeff")
)
_KEY_DIGITS = 10
#: Integers that are themselves as floats, and equal to no other.
_EXACT = 2**53
_LARGEST_INDEX = 2**32 - 2
_MAX_LIST_DEPTH = 100


class Undefined(Enum):
    """The type of UNDEFINED: what a path that leads nowhere gives. Not null, which is None."""

    UNDEFINED = "undefined"

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = Undefined.UNDEFINED
Nothing: TypeAlias = Literal[Undefined.UNDEFINED] | None


class SafeText(str):
    """Text from a helper that is markup already: it is not escaped."""

    __slots__ = ()


def is_nothing(value: object) -> bool:
    """Tell whether `value` is null or undefined."""
    return value is None or value is UNDEFINED


def is_true(value: object) -> bool:
    """Tell what JavaScript makes of `value` as a condition: objects and lists are always true."""
    if isinstance(value, float):
        return value != 0 and not math.isnan(value)
    return bool(value) or isinstance(value, dict | list)


def is_empty(value: object) -> bool:
    """Handlebars' own emptiness, for `with` and `if`: false, null, undefined, '', NaN and []."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return math.isnan(value)
    return not value and not isinstance(value, dict)


def is_shown(value: object) -> bool:
    """Tell whether `{{#if value}}` shows its body."""
    if value:
        return type(value) is not float or not math.isnan(value)
    return isinstance(value, dict)


def index_of(name: str, length: int) -> int:
    """Give the index that `name` means in a list of `length`, or -1. `01` and `1.0` mean none."""
    if len(name) > _KEY_DIGITS or not (name.isascii() and name.isdigit()):
        return -1
    index = int(name)
    return index if index < length and (name[0] != "0" or name == "0") else -1


def keys(value: dict[str, object]) -> Iterable[str]:
    """List the keys as JavaScript does: whole numbers first, in rising order, then as inserted."""
    whole = [key for key in value if is_whole_key(key)]
    if not whole:
        return value
    numbered = set(whole)
    return [*sorted(whole, key=int), *(key for key in value if key not in numbered)]


def is_whole_key(key: object) -> bool:
    """Tell whether JavaScript takes this key for an index and moves it to the front."""
    if not isinstance(key, str) or not key.isdigit() or not key.isascii():
        return False
    if len(key) > _KEY_DIGITS or (key[0] == "0" and key != "0"):
        return False
    return int(key) <= _LARGEST_INDEX


def utf16_length(text: str) -> int:
    """Count UTF-16 units, which is what `length` means."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def utf16_unit(text: str, index: int) -> str | Undefined:
    """Give one UTF-16 unit: of a character outside of the BMP, half a surrogate pair."""
    head = text[: index + 1]
    if not head.isascii():
        units = head.encode("utf-16-le", "surrogatepass")[2 * index : 2 * index + 2]
        return units.decode("utf-16-le", "surrogatepass") if units else UNDEFINED
    return text[index] if index < len(text) else UNDEFINED


def same_place(new: object, old: object) -> bool:
    """Tell whether two contexts are `==` to JavaScript: then `../` does not count the new one."""
    if new is old:
        return True
    if isinstance(new, dict | list) and isinstance(old, dict | list):
        return False
    if type(new) is int and type(old) is int and -_EXACT < new < _EXACT:
        # Loops over numbers ask this once an item.
        return new == old
    return loosely_equal(new, old)


def loosely_equal(left: object, right: object) -> bool:
    """JavaScript's `==`: numbers, texts and booleans meet as numbers, lists and objects as text."""
    if is_nothing(left) or is_nothing(right):
        return is_nothing(left) and is_nothing(right)
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    left_object, right_object = _is_object(left), _is_object(right)
    if left_object and right_object:
        return left is right
    if left_object:
        return _equals_object(right, left)
    if right_object:
        return _equals_object(left, right)
    return to_number(left) == to_number(right)


def to_number(value: object) -> float:
    """JavaScript's Number(): the empty text is 0, what is no number is NaN."""
    if isinstance(value, int | float):
        return value if type(value) is float else _as_float(value)
    if isinstance(value, datetime):
        return value.timestamp() * 1000
    if isinstance(value, list):
        return to_number(_short_list_text(value))
    if isinstance(value, str):
        return _parsed_number(value.strip(JS_SPACE))
    return 0.0 if value is None else math.nan


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _is_object(value: object) -> bool:
    return not isinstance(value, str | int | float)


def _equals_object(value: object, container: object) -> bool:
    if isinstance(container, dict):
        return value == "[object Object]"
    if isinstance(container, list):
        # A list of n elements has n - 1 commas in its text, so a long one need not be spelt out.
        if len(container) > 1 and (not isinstance(value, str) or len(value) < len(container) - 1):
            return False
        return loosely_equal(value, _short_list_text(container))
    return False


def _short_list_text(items: list[object], depth: int = 0) -> str:
    if depth > _MAX_LIST_DEPTH:
        return ""
    texts = []
    for item in items:
        if isinstance(item, list):
            texts.append(_short_list_text(item, depth + 1))
        else:
            texts.append(plain_text(item))
    return ",".join(texts)


def plain_text(value: object) -> str:
    """Give the text of anything but a list or a date: String() in JavaScript, nothing as ''."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int | float):
        return number_text(value)
    return "[object Object]" if isinstance(value, dict) else ""


def _parsed_number(text: str) -> float:
    if not text:
        return 0.0
    if text[:2].lower() in {"0x", "0o", "0b"}:
        try:
            return float(int(text, 0))
        except (ValueError, OverflowError):
            return math.nan
    if not text.isascii() or "_" in text or text.lstrip("+-")[:1].isalpha():
        infinite = {"Infinity": math.inf, "+Infinity": math.inf, "-Infinity": -math.inf}
        return infinite.get(text, math.nan)
    try:
        return float(text)
    except ValueError:
        return math.nan
