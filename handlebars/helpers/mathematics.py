"""Arithmetic: add, subtract, multiply, round, sum and their like."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from math import isfinite
from operator import add as _add
from operator import mul, sub
from types import MappingProxyType

from carillon.handlebars.helpers.arguments import ABSENT, is_number
from carillon.handlebars.runtime.numbers import remainder, round_half_up
from carillon.handlebars.runtime.registry import Helper, Invocation
from carillon.handlebars.runtime.values import to_number

_SAFE_INTEGER = 2**53


def _number(value: object) -> float:
    # Most are plain numbers, and most calls do nothing else.
    if type(value) is float and isfinite(value):
        return value
    if type(value) is int and -_SAFE_INTEGER < value < _SAFE_INTEGER:
        return float(value)
    if not is_number(value):
        raise TypeError("it takes numbers")
    return to_number(value)


def _one(operation: Callable[[float], float]) -> Helper:
    def one(_call: Invocation, value: object = ABSENT, *_: object) -> object:
        return operation(_number(value))

    return one


def _two(operation: Callable[[float, float], float]) -> Helper:
    def two(_call: Invocation, a: object = ABSENT, b: object = ABSENT, *_: object) -> object:
        return operation(_number(a), _number(b))

    return two


def add(_call: Invocation, a: object = ABSENT, b: object = ABSENT, *_: object) -> object:
    """Add two numbers, or put two texts together."""
    if is_number(a) and is_number(b):
        return to_number(a) + to_number(b)
    return a + b if isinstance(a, str) and isinstance(b, str) else ""


def remainder_(_call: Invocation, a: object = ABSENT, b: object = ABSENT, *_: object) -> object:
    """JavaScript's `%` of any two values."""
    return remainder(to_number(a), to_number(b))


def total(call: Invocation, *values: object) -> object:
    """Add up numbers, and those in lists."""
    return _total(_flat(call, values))


def average(call: Invocation, *values: object) -> object:
    """Return the mean of numbers, and of those in lists."""
    items = _flat(call, values)
    return _quotient(_total(items), float(len(items)))


def _flat(call: Invocation, values: tuple[object, ...]) -> list[object]:
    items = [item for value in values for item in (value if isinstance(value, list) else [value])]
    call.charge(len(items))
    return items


def _total(items: list[object]) -> float:
    # From the last to the first, as the reference does: with fractions the order shows.
    return float(sum(to_number(item) for item in reversed(items) if is_number(item)))


def _quotient(a: float, b: float) -> float:
    if b == 0:
        sign = math.copysign(1, a) * math.copysign(1, b)
        return math.nan if a == 0 or math.isnan(a) else sign * math.inf
    return a / b


def _floor(number: float) -> float:
    return float(math.floor(number))


def _ceil(number: float) -> float:
    return float(math.ceil(number))


MATH: Mapping[str, Helper] = MappingProxyType(
    {
        "abs": _one(abs),
        "add": add,
        "avg": average,
        "ceil": _one(_ceil),
        "divide": _two(_quotient),
        "floor": _one(_floor),
        "minus": _two(sub),
        "modulo": _two(remainder),
        "multiply": _two(mul),
        "plus": _two(_add),
        "remainder": remainder_,
        "round": _one(round_half_up),
        "subtract": _two(sub),
        "sum": total,
        "times": _two(mul),
    }
)
