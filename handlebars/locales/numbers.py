"""Writes numbers as Intl.NumberFormat does: groups, the locale's digits, three decimals at most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

from carillon.handlebars.runtime.numbers import number_text
from carillon.handlebars.runtime.values import to_number

_DECIMALS = Decimal("0.001")
_MOST_DIGITS = 400


@dataclass(frozen=True, slots=True)
class NumberStyle:
    """How a locale writes numbers.

    `sizes` are the digits in the last group and in those before it, 0 where there are no groups;
    the first group has at `least` so many. A negative number stands between two texts.
    """

    decimal: str
    group: str
    sizes: Sequence[int]
    least: int
    negative: Sequence[str]
    nan: str
    infinity: str

    def write(self, value: float, digits: Mapping[int, str]) -> str:
        """Write a number, with `digits` in place of ours."""
        number = to_number(value)
        if math.isnan(number):
            return self.nan
        text = self._unsigned(abs(number), digits)
        if math.copysign(1, number) > 0:
            return text
        before, behind = self.negative
        return before + text + behind

    def _unsigned(self, number: float, digits: Mapping[int, str]) -> str:
        if math.isinf(number):
            return self.infinity
        whole, fraction = _decimals(number)
        # The separator is put between digits of ours, which are then written in the locale's.
        grouped = self.group.join(part.translate(digits) for part in self._grouped(whole))
        return grouped + self.decimal + fraction.translate(digits) if fraction else grouped

    def _grouped(self, digits: str) -> list[str]:
        last, others = self.sizes
        if not last or len(digits) < last + self.least:
            return [digits]
        head, groups = digits[:-last], [digits[-last:]]
        while len(head) > others:
            groups.append(head[-others:])
            head = head[:-others]
        return [head, *reversed(groups)] if head else groups[::-1]


def _decimals(number: float) -> tuple[str, str]:
    """Round to three decimals, from the shortest digits that tell the number."""
    exact = Decimal(repr(number)) if number < 1e21 else Decimal(number_text(number))  # noqa: PLR2004
    rounded = exact.quantize(_DECIMALS, ROUND_HALF_UP, Context(prec=_MOST_DIGITS))
    whole, _, fraction = f"{rounded:f}".partition(".")
    return whole, fraction.rstrip("0")
