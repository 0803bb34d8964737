"""The text of a number and of a date as JavaScript writes it (ECMA-262, Number::toString)."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal

_SAFE_INTEGER = 2**53
_FIXED_FROM, _FIXED_TO = -7, 21
_PLAIN_FROM, _PLAIN_TO = 1e-4, 1e16
_FLOAT = re.compile(
    r"[\s\ufeff]*([+-]?(?:Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?))"
)
_INTEGER = re.compile(r"[\s\ufeff]*([+-]?[0-9]+)")
_MOST_DIGITS = 400


def number_text(value: float) -> str:
    """Write a number, or a boolean: 1.0 as 1, 1e21 as 1e+21, integers beyond 2^53 rounded."""
    if type(value) is int and -_SAFE_INTEGER <= value <= _SAFE_INTEGER:
        return str(value)
    if type(value) is float and _PLAIN_FROM <= abs(value) < _PLAIN_TO:
        # Python writes those as JavaScript does, but for the `.0`.
        text = repr(value)
        return text[:-2] if text.endswith(".0") else text
    if isinstance(value, int):
        if value is True or value is False:
            return "true" if value else "false"
        try:
            value = float(value)
        except OverflowError:
            value = math.inf if value > 0 else -math.inf
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    return _finite(value)


def parse_float(text: str) -> float:
    """JavaScript's parseFloat: the number that a text begins with, or NaN."""
    found = _FLOAT.match(text)
    return float(found[1]) if found else math.nan


def parse_int(text: str) -> float:
    """JavaScript's parseInt with base 10: the whole number that a text begins with, or NaN."""
    found = _INTEGER.match(text)
    # More digits than these make an infinity in any case.
    return float(found[1][:_MOST_DIGITS]) if found else math.nan


def remainder(dividend: float, divisor: float) -> float:
    """JavaScript's `%`: the sign is the dividend's, and what has no remainder gives NaN."""
    if math.isinf(dividend) or divisor == 0:
        return math.nan
    return math.fmod(dividend, divisor)


def _finite(value: float) -> str:
    # repr gives the shortest digits that read back the same, which is what ECMA-262 asks for.
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).rstrip("0")
    point = len(whole) + int(exponent or 0)
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    return ("-" if value < 0 else "") + _placed(stripped, point)


def _placed(digits: str, point: int) -> str:
    count = len(digits)
    if count <= point <= _FIXED_TO:
        return digits + "0" * (point - count)
    if 0 < point <= _FIXED_TO:
        return f"{digits[:point]}.{digits[point:]}"
    if _FIXED_FROM < point - 1 < 0:
        return "0." + "0" * -point + digits
    fraction = f".{digits[1:]}" if count > 1 else ""
    return f"{digits[0]}{fraction}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def date_text(value: datetime) -> str:
    """Write a date-time as Date.prototype.toString does where the time zone is UTC."""
    utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[utc.weekday()]
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[3 * utc.month - 3 : 3 * utc.month]
    date = f"{day} {month} {utc.day:02} {utc.year:04}"
    return f"{date} {utc:%H:%M:%S} GMT+0000 (Coordinated Universal Time)"


_MOST_PRINTED = 100
_LARGEST_FIXED = 1e21
_SMALLEST_EXPONENT = -6


def to_fixed(number: float, digits: int) -> str:
    """Write `number` with `digits` decimals; exact ties go away from zero."""
    _check(digits, 0)
    if not math.isfinite(number) or abs(number) >= _LARGEST_FIXED:
        return number_text(number)
    if not (number * 2.0 ** (digits + 1)).is_integer():
        # No tie, so Python's way of breaking ties does not show.
        return f"{number:.{digits}f}"
    exact = Decimal(abs(number))
    rounded = exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, Context(prec=200))
    return ("-" if number < 0 else "") + f"{rounded:f}"


def to_exponential(number: float, digits: int) -> str:
    """Write `number` as 1.23e+4 with `digits` decimals."""
    _check(digits, 0)
    sign, figures, exponent = _figures(number, digits + 1)
    return sign + _scientific(figures, exponent)


def to_precision(number: float, precision: int) -> str:
    """Write `number` with `precision` figures in all."""
    _check(precision, 1)
    sign, figures, exponent = _figures(number, precision)
    if exponent < _SMALLEST_EXPONENT or exponent >= precision:
        return sign + _scientific(figures, exponent)
    if exponent == precision - 1:
        return sign + figures
    if exponent >= 0:
        return f"{sign}{figures[: exponent + 1]}.{figures[exponent + 1 :]}"
    return f"{sign}0.{'0' * -(exponent + 1)}{figures}"


def round_half_up(number: float) -> float:
    """JavaScript's Math.round: halves go up, so -2.5 becomes -2."""
    if not math.isfinite(number):
        return number
    below = math.floor(number)
    return float(below if number - below < 0.5 else below + 1)  # noqa: PLR2004


def _check(digits: int, least: int) -> None:
    if not least <= digits <= _MOST_PRINTED:
        raise ValueError(f"the number of digits must be between {least} and {_MOST_PRINTED}")


def _figures(number: float, count: int) -> tuple[str, str, int]:
    sign = "-" if number < 0 else ""
    if number == 0:
        return "", "0" * count, 0
    exact = Context(prec=count, rounding=ROUND_HALF_UP).plus(Decimal(abs(number)))
    figures = "".join(map(str, exact.as_tuple().digits))
    return sign, figures.ljust(count, "0"), exact.adjusted()


def _scientific(figures: str, exponent: int) -> str:
    fraction = f".{figures[1:]}" if len(figures) > 1 else ""
    return f"{figures[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent)}"
