"""Lists and objects alike: isEmpty, forEach, forIn, forOwn, iterate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cmp_to_key
from types import MappingProxyType

from carillon.handlebars.helpers.arguments import (
    ABSENT,
    elements,
    is_text,
    is_undefined,
    kind,
    listed,
    refuse,
)
from carillon.handlebars.helpers.lookups import entries, get
from carillon.handlebars.helpers.relations import order
from carillon.handlebars.helpers.units import sorting_key, units
from carillon.handlebars.runtime.registry import ChangesContext, Helper, Invocation
from carillon.handlebars.runtime.values import UNDEFINED, is_nothing, is_true


def is_empty(call: Invocation, collection: object = ABSENT, *surplus: object) -> object:
    """Return whether a list or an object has nothing in it."""
    if surplus:
        return True  # what the reference makes of a second argument
    if collection is ABSENT:
        return call.fn(call.this) if call.is_block else True
    if is_nothing(collection):
        raise TypeError("it takes a list or an object, and was given nothing")
    empty = isinstance(collection, dict | list | datetime) and not (
        isinstance(collection, dict | list) and collection
    )
    if not call.is_block:
        return empty
    return call.fn(call.this) if is_true(empty) else call.inverse(call.this)


def for_each(call: Invocation, array: object = ABSENT, *surplus: object) -> object:
    """Render the block for each object of a list, and set index, total, isFirst, isLast in it."""
    refuse(surplus)
    if array is ABSENT:
        raise TypeError("it takes a list of objects")
    data = own_frame(call)
    items = elements(array)
    texts = []
    for index, item in enumerate(items):
        data["index"] = index
        if isinstance(item, dict):
            last = index == len(items) - 1
            item.update(index=index + 1, total=len(items), isFirst=index == 0, isLast=last)
        elif not isinstance(item, list):
            raise TypeError("it goes over objects; use `each` for texts and numbers")
        texts.append(call.fn(item, data))
    return "".join(texts)


def for_own(call: Invocation, value: object = ABSENT, *surplus: object) -> object:
    """Render the block for each value of an object, with `@key`."""
    refuse(surplus)
    if value is ABSENT:
        return call.inverse(call.this)
    data = own_frame(call)
    found = list(enumerate(units(value))) if isinstance(value, str) else entries(value)
    texts = []
    for key, item in found:
        data["key"] = str(key)
        texts.append(call.fn(item, data))
    return "".join(texts)


def iterate(call: Invocation, value: object = ABSENT, *surplus: object) -> object:
    """Go over a list as forEach does, over an object as forOwn does."""
    refuse(surplus)
    if isinstance(value, list):
        return for_each(call, value)
    if value is ABSENT or isinstance(value, dict):
        return for_own(call, value)
    return call.inverse(call.this)


def own_frame(call: Invocation) -> dict[str, object]:
    """Make `@` data of the hash arguments.

    `@root` and the rest are not in it: a slip of the reference that templates live with.
    """
    options: dict[str, object] = {"name": call.name, "hash": call.hash, "data": call.data}
    return {**options, "_parent": options, **call.hash}


COLLECTION: Mapping[str, Helper] = MappingProxyType(
    {
        "isEmpty": is_empty,
        "forEach": ChangesContext(for_each),
        "forIn": for_own,
        "forOwn": for_own,
        "iterate": ChangesContext(iterate),
    }
)


Compare = Callable[[object, object], int]


def sort(call: Invocation, array: object = ABSENT, *surplus: object) -> object:
    """Sort a list by the text of its items; with a truthy `reverse=` the other way round."""
    if not isinstance(array, list):
        return ""
    sort_as_text(call, array)
    options = surplus[0] if surplus else {"hash": dict(call.hash)}
    if is_true(get(call, options, "hash.reverse")):
        array.reverse()
    return array


def sort_by(call: Invocation, array: object = ABSENT, *paths: object) -> object:
    """Sort a list of objects by their values at a path, then at the next."""
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
