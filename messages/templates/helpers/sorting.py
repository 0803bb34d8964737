"""Lists in order: sort, sortBy, withSort. As in the reference the list itself is put in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cmp_to_key
from types import MappingProxyType

from carillon.messages.templates.helpers.arguments import (
    ABSENT,
    is_text,
    is_undefined,
    kind,
    listed,
    refuse,
)
from carillon.messages.templates.helpers.lookups import get
from carillon.messages.templates.registry import ChangesContext, Helper, Invocation
from carillon.messages.templates.relations import order
from carillon.messages.templates.units import sorting_key
from carillon.messages.templates.values import UNDEFINED, is_nothing, is_true

Compare = Callable[[object, object], int]


def sort(call: Invocation, array: object = ABSENT, *surplus: object) -> object:
    """Sort a list by the text of its items; what else it is given turns it, if it is something."""
    if not isinstance(array, list):
        return ""
    sort_as_text(call, array)
    options = surplus[0] if surplus else {"hash": dict(call.hash)}
    if is_true(get(call, options, "hash.reverse")):
        array.reverse()
    return array


def sort_by(call: Invocation, array: object = ABSENT, *paths: object) -> object:
    """Sort a list of objects by what they have at a path, then at the next."""
    if not isinstance(array, list):
        return ""
    if not paths or not is_text(paths[0]):
        sort_as_text(call, array)
        return array
    names = [name for path in paths for name in (path if isinstance(path, list) else [path])]
    options = names.pop() if isinstance(names[-1], dict) else {}
    sign = -1 if isinstance(options, dict) and options.get("reverse") is True else 1
    _sort_with(call, array, lambda a, b: sign * _by_paths(call, names, a, b))
    return array


def with_sort(
    call: Invocation, array: object = ABSENT, path: object = ABSENT, *surplus: object
) -> object:
    """Sort a list, by a path if one is given, and render the block for each item."""
    if is_undefined(array):
        return ""
    items = listed(array)
    if is_undefined(path):
        sort_as_text(call, items)
        if items and is_nothing(path):
            raise TypeError("it sorts by a path, and the one it is given is missing")
    else:
        _sort_with(
            call, items, lambda a, b: order(get(call, a, path), get(call, b, path), call.text) or 0
        )
    if is_true(call.hash.get("reverse", UNDEFINED)):
        items.reverse()
    if items:
        refuse(surplus)
    return "".join([call.fn(item) for item in list(items)])


def sort_as_text(call: Invocation, items: list[object]) -> None:
    """Put a list in order by the text of its items, as JavaScript does; undefined comes last."""
    call.charge(4 * len(items))
    known = [item for item in items if item is not UNDEFINED]
    missing = len(items) - len(known)
    known.sort(key=lambda item: sorting_key("null" if item is None else call.text(item)))
    items[:] = [*known, *[UNDEFINED] * missing]


def _sort_with(call: Invocation, items: list[object], compare: Compare) -> None:
    call.charge(4 * len(items) * len(items).bit_length())
    known = [item for item in items if item is not UNDEFINED]
    missing = len(items) - len(known)
    items[:] = [*sorted(known, key=cmp_to_key(compare)), *[UNDEFINED] * missing]


def _by_paths(call: Invocation, paths: list[object], left: object, right: object) -> int:
    result = 0
    for path in paths:
        result = _by_path(call, path, left, right)
        if result:
            break
    return result


def _by_path(call: Invocation, path: object, left: object, right: object) -> int:
    both = all(value is None or isinstance(value, dict | list) for value in (left, right))
    if is_true(path) and both:
        left, right = get(call, left, path), get(call, right, path)
    first, second = kind(left), kind(right)
    if first == "null":
        return 0 if second == "null" else -1 if second == "undefined" else 1
    if first == "undefined":
        return 0 if second == "undefined" else 1
    if second in {"null", "undefined"}:
        return -1
    return order(left, right, call.text) or 0


SORTING: Mapping[str, Helper] = MappingProxyType(
    {
        "sort": ChangesContext(sort),
        "sortBy": ChangesContext(sort_by),
        "withSort": ChangesContext(with_sort),
    }
)
