"""Conditions: eq, gt, and, or, contains and their like, as values or as blocks with an else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from carillon.handlebars.helpers.arguments import (
    ABSENT,
    answer,
    is_number,
    kind,
    whole_number,
)
from carillon.handlebars.helpers.lookups import get
from carillon.handlebars.helpers.relations import holds, order, strictly_equal
from carillon.handlebars.helpers.units import units
from carillon.handlebars.runtime.numbers import remainder
from carillon.handlebars.runtime.registry import Helper, Invocation, ReadsContext
from carillon.handlebars.runtime.values import (
    UNDEFINED,
    is_nothing,
    is_true,
    loosely_equal,
    to_number,
)

_FALSE_WORDS = frozenset({"none", "nil", "nope", "no", "nada", "0", "false"})
_DEEPEST = 100
Relation = Callable[[Invocation, object, object], bool]


def less(call: Invocation, left: object, right: object) -> bool:
    """JavaScript's `<`."""
    return order(left, right, call.text) == -1


def greater(call: Invocation, left: object, right: object) -> bool:
    """JavaScript's `>`."""
    return order(left, right, call.text) == 1


def at_most(call: Invocation, left: object, right: object) -> bool:
    """JavaScript's `<=`."""
    return order(left, right, call.text) in {-1, 0}


def at_least(call: Invocation, left: object, right: object) -> bool:
    """JavaScript's `>=`."""
    return order(left, right, call.text) in {0, 1}


def same(_call: Invocation, left: object, right: object) -> bool:
    """JavaScript's `===`."""
    return strictly_equal(left, right)


def alike(_call: Invocation, left: object, right: object) -> bool:
    """JavaScript's `==`."""
    return loosely_equal(left, right)


def different(_call: Invocation, left: object, right: object) -> bool:
    """JavaScript's `!==`."""
    return not strictly_equal(left, right)


def unlike(_call: Invocation, left: object, right: object) -> bool:
    """JavaScript's `!=`."""
    return not loosely_equal(left, right)


def _typeof(_call: Invocation, value: object, name: object) -> bool:
    found = kind(value)
    basic = found if found in {"undefined", "boolean", "string", "number"} else "object"
    return basic == name


_OPERATORS: Mapping[str, Relation] = MappingProxyType(
    {
        "==": alike,
        "===": same,
        "!=": unlike,
        "!==": different,
        "<": less,
        ">": greater,
        "<=": at_most,
        ">=": at_least,
        "typeof": _typeof,
    }
)


def _relation(relation: Relation) -> Helper:
    def compare(call: Invocation, a: object = ABSENT, b: object = ABSENT, *more: object) -> object:
        if b is ABSENT:
            b = call.hash.get("compare", UNDEFINED)
        return answer(call, relation(call, a, b), a, more)

    return compare


def compare(
    call: Invocation,
    a: object = ABSENT,
    operator: object = ABSENT,
    b: object = ABSENT,
    *more: object,
) -> object:
    """Compare two values by an operator that is given as text."""
    if b is ABSENT:
        raise TypeError('it takes two values and an operator between them: `a ">" b`')
    relation = _OPERATORS.get(operator) if isinstance(operator, str) else None
    if relation is None:
        raise TypeError(f"`{call.text(operator)[:20]}` is no operator")
    return answer(call, relation(call, a, b), None, more)


def and_(call: Invocation, *values: object) -> object:
    """Return whether all are true."""
    return answer(call, all(is_true(value) for value in values))


def or_(call: Invocation, *values: object) -> object:
    """Return whether one is true."""
    return answer(call, any(is_true(value) for value in values))


def not_(call: Invocation, value: object = ABSENT, *more: object) -> object:
    """Return whether it is false."""
    return answer(call, not is_true(value), value, more)


def neither(call: Invocation, a: object = ABSENT, b: object = ABSENT, *more: object) -> object:
    """Return whether both are false."""
    return answer(call, not is_true(a) and not is_true(b), b, more)


def default(_call: Invocation, *values: object) -> object:
    """Return the first value that is neither null nor undefined."""
    return next((value for value in values if not is_nothing(value)), "")


def contains(
    call: Invocation,
    collection: object = ABSENT,
    value: object = ABSENT,
    start: object = ABSENT,
    *more: object,
) -> object:
    """Return whether a text has a part, or a list an item."""
    if not (start is UNDEFINED or isinstance(start, str | int | float)):
        more, start = (start, *more) if start is not ABSENT else more, ABSENT
    return answer(call, _contains(call, collection, value, start), value, more)


def _contains(call: Invocation, collection: object, value: object, start: object) -> bool:
    if is_nothing(collection) or is_nothing(value):
        return False
    begin = whole_number(UNDEFINED if start is ABSENT else start)
    if isinstance(collection, str):
        return call.key(value) in units(collection)[max(begin, 0) :]
    if isinstance(collection, list):
        return holds(collection[begin:], value, call.charge)
    return False


def has(
    call: Invocation, value: object = ABSENT, pattern: object = ABSENT, *more: object
) -> object:
    """Return whether a text, a list or an object has it; one argument is asked of the context."""
    if more:
        return value is not None and _has(value, pattern)
    if value is ABSENT or value is None:
        return answer(call, value=False)
    if pattern is ABSENT:
        found = get(call, call.this, value) if isinstance(call.this, dict) else call.this
        return answer(call, _has_values(call, found))
    if _has(value, pattern):
        return answer(call, value=True)
    return call.inverse(call.this) if call.is_block else False


def _has(value: object, pattern: object) -> bool:
    if not isinstance(pattern, str) or not pattern:
        return False
    if isinstance(value, list):
        return any(isinstance(item, str) and item == pattern for item in value)
    return isinstance(value, str | dict) and pattern in value


def _has_values(call: Invocation, value: object, depth: int = 0) -> bool:
    call.charge(1)
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return depth < _DEEPEST and any(_has_values(call, item, depth + 1) for item in inner)
    if isinstance(value, str):
        return value != ""
    return value is None or isinstance(value, bool) or is_number(value)


def falsey(value: object) -> bool:
    """Return whether it is false, empty, or a word for no."""
    if not is_true(value):
        return True
    if value is ABSENT:
        return False
    if isinstance(value, list | dict):
        return not value
    return isinstance(value, str) and value.lower() in _FALSE_WORDS


def is_falsey(call: Invocation, value: object = ABSENT, *more: object) -> object:
    """Return whether it is false, empty, or a word for no."""
    return answer(call, falsey(value), value, more)


def is_truthy(call: Invocation, value: object = ABSENT, *more: object) -> object:
    """Return whether it is neither false nor empty nor a word for no."""
    return answer(call, not falsey(value), value, more)


def is_odd(value: object) -> bool:
    """Return whether a whole number is odd."""
    number = to_number(value) if is_number(value) else math.nan
    if not number.is_integer():
        raise TypeError("it takes a whole number")
    return bool(int(number) & 1)


def if_even(call: Invocation, number: object = ABSENT, *more: object) -> object:
    """Return whether a whole number is even."""
    return answer(call, not is_odd(number), number, more)


def if_odd(call: Invocation, number: object = ABSENT, *more: object) -> object:
    """Return whether a whole number is odd."""
    return answer(call, is_odd(number), number, more)


def if_nth(call: Invocation, a: object = ABSENT, b: object = ABSENT, *more: object) -> object:
    """Return whether `b` is a multiple of `a`."""
    both = is_number(a) and is_number(b)
    return answer(call, both and remainder(to_number(b), to_number(a)) == 0, b, more)


COMPARISON: Mapping[str, Helper] = MappingProxyType(
    {
        "and": and_,
        "compare": compare,
        "contains": contains,
        "default": default,
        "eq": _relation(same),
        "gt": _relation(greater),
        "gte": _relation(at_least),
        "has": ReadsContext(has),
        "isFalsey": is_falsey,
        "isTruthy": is_truthy,
        "ifEven": if_even,
        "ifNth": if_nth,
        "ifOdd": if_odd,
        "is": _relation(alike),
        "isnt": _relation(unlike),
        "lt": _relation(less),
        "lte": _relation(at_most),
        "neither": neither,
        "not": not_,
        "or": or_,
        "unlessEq": _relation(different),
        "unlessGt": _relation(at_most),
        "unlessLt": _relation(at_least),
        "unlessGteq": _relation(less),
        "unlessLteq": _relation(greater),
    }
)
