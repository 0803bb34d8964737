"""Numbers as text: toFixed, addCommas, bytes, toAbbr, phoneNumber and their like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from types import MappingProxyType

from carillon.handlebars.helpers.arguments import (
    ABSENT,
    is_number,
    is_undefined,
    whole_number,
)
from carillon.handlebars.helpers.units import units, whole
from carillon.handlebars.runtime.numbers import (
    number_text,
    parse_float,
    parse_int,
    round_half_up,
    to_exponential,
    to_fixed,
    to_precision,
)
from carillon.handlebars.runtime.registry import Helper, Invocation
from carillon.handlebars.runtime.values import is_nothing, is_true, to_number

_DIGITS = re.compile("[0-9]{4,}")
_BYTES = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB")
_ABBREVIATIONS = ("k", "m", "b", "t", "q")
#: Exact decimals take many times what a step stands for.
_EXACT = 24
_MANY_DIGITS = 9


def bytes_(
    call: Invocation, number: object = ABSENT, precision: object = ABSENT, *_: object
) -> object:
    """Return a count of bytes with its unit; of a text or a list, its length."""
    if is_undefined(number):
        return "0 B"
    if not is_number(number):
        number = call.member(number, "length")
        if not is_true(number):
            return "0 B"
    value, scale = to_number(number), _power(precision if is_number(precision) else 2)
    # The reference's loop runs one too far: what is a little below 0 gets the unit `undefined`.
    for index in (*reversed(range(len(_BYTES))), -1):
        if 10.0 ** (index * 3) <= value + 1:
            unit = _BYTES[index] if index >= 0 else "undefined"
            return f"{_scaled(value, scale, 10.0 ** (index * 3))} {unit}"
    return value


def to_abbr(
    _call: Invocation, number: object = ABSENT, precision: object = ABSENT, *_: object
) -> object:
    """Shorten a number: 1.5k, 2m."""
    value = to_number(number) if is_number(number) else 0.0
    scale = _power(2 if is_undefined(precision) else precision)
    for index in reversed(range(len(_ABBREVIATIONS))):
        size = 10.0 ** ((index + 1) * 3)
        if size <= value + 1:
            return f"{_scaled(value, scale, size)}{_ABBREVIATIONS[index]}"
    return value


def _power(precision: object) -> float:
    try:
        return float(10.0 ** to_number(precision))
    except OverflowError:
        return float("inf")


def _scaled(value: float, scale: float, size: float) -> str:
    rounded = round_half_up(value * scale / size)
    return number_text(rounded / scale if scale else float("nan"))


def add_commas(call: Invocation, number: object = ABSENT, *_: object) -> object:
    """Put a comma after each three digits."""
    if is_nothing(number):
        raise TypeError("it takes a number, and was given nothing")
    return _DIGITS.sub(_commas, call.text(number))


def _commas(match: re.Match[str]) -> str:
    digits = match[0]
    head = len(digits) % 3
    groups = [digits[start : start + 3] for start in range(head, len(digits), 3)]
    return ",".join([digits[:head], *groups] if head else groups)


def phone_number(call: Invocation, number: object = ABSENT, *_: object) -> object:
    """Write ten digits as (800) 555-1212."""
    if is_nothing(number):
        raise TypeError("it takes a number, and was given nothing")
    text = units(call.text(number))
    return whole(f"({text[:3]}) {text[3:6]}-{text[6:10]}")


def exponential(
    call: Invocation, number: object = ABSENT, digits: object = ABSENT, *_: object
) -> object:
    """Write a number as 1.23e+4."""
    call.charge(_EXACT)
    return to_exponential(_finite(number), 0 if is_undefined(digits) else whole_number(digits))


def fixed(call: Invocation, number: object = ABSENT, digits: object = ABSENT, *_: object) -> object:
    """Write a number with this many decimals."""
    if type(digits) is not int:
        digits = whole_number(digits) if is_number(digits) else 0
    if digits > _MANY_DIGITS:
        call.charge(_EXACT)
    return to_fixed(_finite(number), digits)


def precise(
    call: Invocation, number: object = ABSENT, precision: object = ABSENT, *_: object
) -> object:
    """Write a number with this many significant digits."""
    call.charge(_EXACT)
    return to_precision(_finite(number), whole_number(precision) if is_number(precision) else 1)


def _finite(number: object) -> float:
    if type(number) is float and isfinite(number):
        return number
    return to_number(number) if is_number(number) else 0.0


def to_float(call: Invocation, value: object = ABSENT, *_: object) -> object:
    """Read the number that a text begins with."""
    return parse_float(call.key(value))


def to_int(call: Invocation, value: object = ABSENT, *_: object) -> object:
    """Read the whole number that a text begins with."""
    return parse_int(call.key(value))


NUMBER: Mapping[str, Helper] = MappingProxyType(
    {
        "bytes": bytes_,
        "addCommas": add_commas,
        "phoneNumber": phone_number,
        "toAbbr": to_abbr,
        "toExponential": exponential,
        "toFixed": fixed,
        "toFloat": to_float,
        "toInt": to_int,
        "toPrecision": precise,
    }
)
