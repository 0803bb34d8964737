"""The text of a number and of a date as JavaScript writes it (ECMA-262, Number::toString)."""

import math
import re
from datetime import UTC, datetime

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
