"""Look-up by a path in a text, as the reference's get-value and get-object do it."""

import re

from carillon.handlebars.helpers.arguments import is_number
from carillon.handlebars.runtime.registry import Invocation
from carillon.handlebars.runtime.values import is_true, keys

_SEPARATORS = re.compile(r"[\[.\]]")


def get(call: Invocation, value: object, path: object) -> object:
    r"""Follow `path`, such as "address.city"; a `\` before a dot makes it part of the name."""
    if not isinstance(value, dict | list) or not is_true(path):
        return value
    if isinstance(path, list):
        path = ".".join(call.text(part) for part in path)
    name = call.key(path)
    if _has(value, name):
        return call.member(value, name)
    if not isinstance(path, str):
        raise TypeError("a path is a text")
    call.charge(len(path) // 64)
    return _follow(call, value, path.split("."))


def _has(value: dict[str, object] | list[object], name: str) -> bool:
    if isinstance(value, dict):
        return name in value
    return name == "length" or (name.isascii() and name.isdigit() and int(name[:10]) < len(value))


def _follow(call: Invocation, value: object, names: list[str]) -> object:
    rest = iter(names)
    for first in rest:
        if not is_true(value):
            return value
        name = first
        while name.endswith("\\"):
            name = f"{name[:-1]}.{next(rest, 'undefined')}"
        value = call.member(value, name)
    return value


def get_object(call: Invocation, value: object, path: object) -> object:
    """Follow `path` and give what is there under its last name; in a list for an index."""
    if not is_true(path):
        return value
    if not is_true(value):
        return {}
    names = [name for name in _SEPARATORS.split(call.key(path)) if name]
    call.charge(len(names) // 16)
    for name in names:
        value = call.member(value, name)
        if not is_true(value):
            return {}
    last = names[-1] if names else "undefined"
    return [value] if is_number(last) else {last: value}


def entries(value: object) -> list[tuple[str, object]]:
    """Return what JavaScript's `for in` goes over: keys and values, of a text its units."""
    if isinstance(value, dict):
        return [(key, value[key]) for key in keys(value)]
    if isinstance(value, list):
        return [(str(index), item) for index, item in enumerate(value)]
    return []
