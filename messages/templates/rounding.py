"""Numbers with a count of digits as JavaScript writes them: toFixed, toPrecision and so on."""

import math
from decimal import ROUND_HALF_UP, Context, Decimal

from carillon.messages.templates.numbers import number_text

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
