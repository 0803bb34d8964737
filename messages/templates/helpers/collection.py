"""Lists and objects alike: isEmpty, forEach, forIn, forOwn, iterate."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from carillon.messages.templates.helpers.arguments import ABSENT, elements, refuse
from carillon.messages.templates.helpers.lookups import entries
from carillon.messages.templates.registry import ChangesContext, Helper, Invocation
from carillon.messages.templates.units import units
from carillon.messages.templates.values import is_nothing, is_true


def is_empty(call: Invocation, collection: object = ABSENT, *surplus: object) -> object:
    """Tell whether a list or an object has nothing in it."""
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
