"""Blocks over a part of a list: withFirst, withAfter, withGroup and their like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from carillon.messages.templates.helpers.arguments import (
    ABSENT,
    cut,
    is_undefined,
    refuse,
    sliceable,
)
from carillon.messages.templates.numbers import parse_float
from carillon.messages.templates.registry import Helper, Invocation
from carillon.messages.templates.values import is_nothing, to_number


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
