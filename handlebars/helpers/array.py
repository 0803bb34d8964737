"""Lists: first, last, join, sort and the blocks that go over a part of a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from carillon.handlebars.helpers.arguments import (
    ABSENT,
    answer,
    cut,
    elements,
    is_number,
    is_text,
    is_undefined,
    listed,
    refuse,
    sliceable,
)
from carillon.handlebars.helpers.lookups import get
from carillon.handlebars.helpers.relations import holds, identity, strictly_equal
from carillon.handlebars.helpers.units import units, whole
from carillon.handlebars.runtime.numbers import parse_float
from carillon.handlebars.runtime.registry import Helper, Invocation
from carillon.handlebars.runtime.values import UNDEFINED, is_nothing, is_true, to_number


def part(value: object, start: object, end: object = UNDEFINED) -> object:
    """Slice a list or a text."""
    sequence = sliceable(value)
    return (
        whole(cut(sequence, start, end)) if isinstance(sequence, str) else cut(sequence, start, end)
    )


def after(_call: Invocation, array: object = ABSENT, n: object = ABSENT, *_: object) -> object:
    """Return the items from index `n` on."""
    return "" if is_undefined(array) else part(array, n)


def before(_call: Invocation, array: object = ABSENT, n: object = ABSENT, *_: object) -> object:
    """Return all but the last `n` items."""
    return "" if is_undefined(array) else part(array, 0, -to_number(n))


def arrayify(_call: Invocation, value: object = ABSENT, *_: object) -> object:
    """Wrap a value that is not a list in one."""
    if not is_true(value):
        return []
    return value if isinstance(value, list) else [value]


def each_index(call: Invocation, array: object = ABSENT, *surplus: object) -> object:
    """Render the block with `item` and `index`."""
    items = elements(array)
    if items:
        refuse(surplus)
    return "".join([call.fn({"item": item, "index": i}) for i, item in enumerate(items)])


def filter_(
    call: Invocation, array: object = ABSENT, value: object = ABSENT, *surplus: object
) -> object:
    """Render the block for each item that is `value`, or whose `property` is."""
    refuse(surplus)
    if value is ABSENT:
        raise TypeError("it takes a list and a value")
    items = listed(array)
    call.charge(len(items))
    path = call.hash.get("property", UNDEFINED)
    path = path if is_true(path) else call.hash.get("prop", UNDEFINED)
    if is_true(path):
        found = [item for item in items if strictly_equal(value, get(call, item, path))]
    else:
        found = [item for item in items if strictly_equal(value, item)]
    return "".join([call.fn(item) for item in found]) if found else call.inverse(call.this)


def first(call: Invocation, array: object = ABSENT, n: object = ABSENT, *_: object) -> object:
    """Return the first item, or the first `n`."""
    if is_undefined(array):
        return ""
    return part(array, 0, n) if is_number(n) else call.member(array, "0")


def in_array(
    call: Invocation, array: object = ABSENT, value: object = ABSENT, *more: object
) -> object:
    """Return whether the list has `value`."""
    items = elements(array)
    return answer(call, holds(items, value, call.charge), value, more)


def is_array(_call: Invocation, value: object = ABSENT, *_: object) -> object:
    """Return whether it is a list."""
    return isinstance(value, list)


def item_at(
    _call: Invocation, array: object = ABSENT, index: object = ABSENT, *_: object
) -> object:
    """Return the item at an index, of a negative one from the end."""
    if not isinstance(array, list):
        return UNDEFINED
    place = to_number(index) if is_number(index) else 0.0
    place = place + len(array) if place < 0 else place
    return array[int(place)] if place.is_integer() and 0 <= place < len(array) else UNDEFINED


def join(
    call: Invocation, array: object = ABSENT, separator: object = ABSENT, *_: object
) -> object:
    """Make one text of the items."""
    if not isinstance(array, list):
        return array if isinstance(array, str) else ""
    between = str(separator) if is_text(separator) else ", "
    call.charge(len(array) * (1 + len(between) // 32))
    return between.join([call.text(item) for item in array])


def equals_length(
    call: Invocation, value: object = ABSENT, length_: object = ABSENT, *more: object
) -> object:
    """Return whether a list or a text has this length."""
    if value is ABSENT:
        return False
    wanted = 0 if length_ is ABSENT else length_
    size = len(sliceable(value)) if isinstance(value, str | list) else 0
    return answer(call, strictly_equal(size, wanted), value, more)


def last(call: Invocation, value: object = ABSENT, n: object = ABSENT, *_: object) -> object:
    """Return the last item, or the last `n`."""
    if not isinstance(value, list | str):
        return ""
    if is_number(n):
        return part(value, -abs(to_number(n)))
    size = len(sliceable(value))
    return call.member(value, str(size - 1)) if size else UNDEFINED


def length(_call: Invocation, value: object = ABSENT, *_: object) -> object:
    """Count the items of a list, the keys of an object, the UTF-16 units of a text."""
    if isinstance(value, str):
        return len(units(value))
    return len(value) if isinstance(value, list | dict) else 0


def map_(_call: Invocation, array: object = ABSENT, *_: object) -> object:
    """Return the list itself: a template has no function to map it with."""
    return array if isinstance(array, list) else ""


def pluck(call: Invocation, array: object = ABSENT, path: object = ABSENT, *_: object) -> object:
    """List what each item has at a path."""
    if is_undefined(array):
        return ""
    items = elements(array)
    call.charge(len(items))
    found = [get(call, item, path) for item in items]
    return [value for value in found if value is not UNDEFINED]


def some(
    call: Invocation, array: object = ABSENT, test: object = ABSENT, *surplus: object
) -> object:
    """Render the else block: a template has no function to test the items with."""
    refuse(surplus)
    if test is ABSENT or (isinstance(array, list) and array):
        raise TypeError("it takes a function, which a template does not have")
    return call.inverse(call.this)


def unique(call: Invocation, array: object = ABSENT, *_: object) -> object:
    """List the items, each once, where it comes first."""
    if is_undefined(array):
        return ""
    items = listed(array)
    call.charge(len(items))
    seen: dict[object, object] = {}
    for item in items:
        seen.setdefault(identity(item), item)
    # NaN is not equal to itself, so the reference never finds it.
    seen.pop(UNDEFINED, None)
    return list(seen.values())


ARRAY: Mapping[str, Helper] = MappingProxyType(
    {
        "after": after,
        "arrayify": arrayify,
        "before": before,
        "eachIndex": each_index,
        "filter": filter_,
        "first": first,
        "inArray": in_array,
        "isArray": is_array,
        "itemAt": item_at,
        "join": join,
        "equalsLength": equals_length,
        "last": last,
        "length": length,
        "lengthEqual": equals_length,
        "map": map_,
        "pluck": pluck,
        "some": some,
        "unique": unique,
    }
)


def with_after(
    call: Invocation, array: object = ABSENT, n: object = ABSENT, *surplus: object
) -> object:
    """Render the block for each item from index `n` on."""
    return _fill(call, cut(array, n), n, surplus) if isinstance(array, list) else ""


def with_before(
    call: Invocation, array: object = ABSENT, n: object = ABSENT, *surplus: object
) -> object:
    """Render the block for each item but the last `n`."""
    if not isinstance(array, list):
        return ""
    return _fill(call, cut(array, 0, -to_number(n)), n, surplus)


def with_first(
    call: Invocation, array: object = ABSENT, n: object = ABSENT, *surplus: object
) -> object:
    """Render the block with the first item, or with each of the first `n`."""
    if is_undefined(array):
        return ""
    if is_undefined(n):
        return _one(call, call.member(array, "0"), n)
    return _fill(call, cut(sliceable(array), 0, _count(call, n)), n, surplus)


def with_last(
    call: Invocation, array: object = ABSENT, n: object = ABSENT, *surplus: object
) -> object:
    """Render the block with the last item, or with each of the last `n`."""
    if is_undefined(array):
        return ""
    if is_undefined(n):
        size = len(sliceable(array)) if isinstance(array, list | str) else 0
        return _one(call, call.member(array, str(size - 1)), n)
    return _fill(call, cut(sliceable(array), -_count(call, n)), n, surplus)


def with_group(
    call: Invocation, array: object = ABSENT, size: object = ABSENT, *surplus: object
) -> object:
    """Render the block with `size` items at a time, which are `this`."""
    if not isinstance(array, list) or not array:
        return ""
    each = to_number(size)
    groups: list[list[object]] = [[]]
    for index, item in enumerate(array):
        if index > 0 and each and index % each == 0:
            groups.append([])
        groups[-1].append(item)
    return _fill(call, groups, size, surplus)


def _count(call: Invocation, n: object) -> float:
    return parse_float(call.key(n))


def _one(call: Invocation, item: object, n: object) -> str:
    if is_nothing(n):
        raise TypeError("the number of items it is given is missing")
    return call.fn(item)


def _fill(
    call: Invocation, items: Sequence[object], last: object, surplus: tuple[object, ...]
) -> str:
    if items and last is ABSENT:
        raise TypeError("it takes a list and a number")
    if items:
        refuse(surplus)
    return "".join([call.fn(item) for item in items])


ARRAY_BLOCKS: Mapping[str, Helper] = MappingProxyType(
    {
        "withAfter": with_after,
        "withBefore": with_before,
        "withFirst": with_first,
        "withGroup": with_group,
        "withLast": with_last,
    }
)
