"""Objects: get, pick, extend, merge, JSON."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from carillon.handlebars.helpers.arguments import (
    ABSENT,
    cut,
    is_number,
    refuse,
    whole_number,
)
from carillon.handlebars.helpers.lookups import get, get_object
from carillon.handlebars.helpers.units import units
from carillon.handlebars.runtime import json_text
from carillon.handlebars.runtime.registry import ChangesContext, Helper, Invocation
from carillon.handlebars.runtime.values import UNDEFINED, index_of, is_nothing, is_true

_MOST_INDENT = 10
_JSON_PER_STEP = 8


def extend(call: Invocation, *objects: object) -> object:
    """Make a new object of the members of all."""
    return _extended(call, *objects, call.hash)


def _extended(call: Invocation, *objects: object) -> dict[str, object]:
    merged: dict[str, object] = {}
    for value in objects:
        if isinstance(value, Mapping):
            call.charge(len(value) // 8)
            merged.update(value)
    return merged


def merge(call: Invocation, target: object = ABSENT, *objects: object) -> object:
    """Put the members of the others into the first object, which stays changed."""
    if target is ABSENT:
        return dict(call.hash)
    if is_nothing(target):
        raise TypeError("it takes an object to put the others into")
    call.charge(4)
    if isinstance(target, dict):
        target.update(_extended(call, *objects, call.hash))
    return target


def to_path(_call: Invocation, *parts: object) -> object:
    """Join names and numbers with dots."""
    found = [part for part in parts if isinstance(part, str | int | float)]
    return ".".join(_call.text(part) for part in found if not isinstance(part, bool))


def get_(
    call: Invocation, path: object = ABSENT, context: object = ABSENT, *surplus: object
) -> object:
    """Look a path up in an object; as a block, render it with the value found."""
    if context is ABSENT:
        return UNDEFINED
    found = get(call, context, path)
    if not call.is_block or surplus:
        return found
    return call.fn(found) if is_true(found) else call.inverse(context)


def get_object_(
    call: Invocation, path: object = ABSENT, context: object = ABSENT, *_: object
) -> object:
    """Look a path up and return the value in a new object."""
    return {} if context is ABSENT else get_object(call, context, path)


def has_own(call: Invocation, value: object = ABSENT, key: object = ABSENT, *_: object) -> object:
    """Return whether an object has a member."""
    if is_nothing(value):
        raise TypeError("it takes an object, and was given nothing")
    name = call.key(key)
    if isinstance(value, dict):
        return name in value
    if isinstance(value, list | str):
        size = len(units(value)) if isinstance(value, str) else len(value)
        return name == "length" or index_of(name, size) >= 0
    return False


def is_object(_call: Invocation, value: object = ABSENT, *_: object) -> object:
    """Return whether it is an object, and neither a list nor a date."""
    return isinstance(value, dict) or value is ABSENT


def parse_json(call: Invocation, text: object = ABSENT, *_: object) -> object:
    """Read JSON text."""
    source = call.key(text)
    call.charge(len(source) // _JSON_PER_STEP)
    return json_text.parse(source)


def stringify(
    call: Invocation, value: object = ABSENT, indent: object = ABSENT, *_: object
) -> object:
    """Write a value as JSON, with an indent if one is given."""
    if value is ABSENT:
        raise TypeError("it takes a value")
    text = json_text.stringify(value, _indent(indent), call.charge)
    return UNDEFINED if text is None else text


def _indent(indent: object) -> str:
    if not is_number(indent):
        return ""
    if isinstance(indent, str):
        return cut(str(indent), 0, _MOST_INDENT)
    return " " * max(0, min(whole_number(indent), _MOST_INDENT))


def pick(
    call: Invocation, paths: object = ABSENT, context: object = ABSENT, *surplus: object
) -> object:
    """Make an object of some members of another."""
    if context is ABSENT:
        raise TypeError("it takes names and an object")
    if surplus and is_nothing(surplus[0]):
        refuse(surplus)
    names = paths if isinstance(paths, list) else [paths] if is_true(paths) else []
    call.charge(4 * len(names))
    found = _extended(call, *(get_object(call, context, name) for name in names))
    if not call.is_block or surplus:
        return found
    return call.fn(found) if found else call.inverse(context)


OBJECT: Mapping[str, Helper] = MappingProxyType(
    {
        "extend": extend,
        "toPath": to_path,
        "get": get_,
        "getObject": get_object_,
        "hasOwn": has_own,
        "isObject": is_object,
        "JSONparse": parse_json,
        "JSONstringify": stringify,
        "merge": ChangesContext(merge),
        "parseJSON": parse_json,
        "pick": pick,
        "stringify": stringify,
    }
)
