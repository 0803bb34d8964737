"""Writes numbers as Intl.NumberFormat does: groups, the locale's digits, three decimals at most.

Babel's own formatter knows neither the locales that group from five digits on only, nor digits
other than ours; its data has the rest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

from messages.templates.numbers import number_text
from messages.templates.values import to_number

if TYPE_CHECKING:
    from babel import Locale

_PATTERN = re.compile(r"([#0,]+)(?:\.([#0]+))?")
#: Where 1234 is written in one piece and 12345 is not (CLDR's minimumGroupingDigits).
_GROUP_FROM_FIVE = frozenset(
    {
        *("be", "bg", "ee", "es", "et", "hu", "hy", "ia", "ie", "it", "ka", "lv", "pl", "sl", "sq"),
        *("es_EA", "es_ES", "es_GQ", "es_IC", "es_PH", "pt_CH", "pt_CV", "pt_GQ", "pt_GW", "pt_LU"),
        *("pt_MO", "pt_MZ", "pt_PT", "pt_ST", "pt_TL", "ru_UA"),
    }
)
#: Of these languages not all that have a country group so.
_BY_COUNTRY = frozenset({"es", "pt", "ru"})
#: What changed in CLDR 48, since the release that Babel has: this, and U+2019 became ' all over.
_NEWER_GROUP: Mapping[str, str] = MappingProxyType({"de_AT": "\xa0"})
_DECIMALS = Decimal("0.001")
_MOST_DIGITS = 400


@dataclass(frozen=True, slots=True)
class NumberStyle:
    """How a locale writes numbers."""

    symbols: Mapping[str, str]
    #: Digits in the last group, and in those before it.
    groups: tuple[int, int]
    first_group: int
    #: From our digits and sign to those of the locale.
    digits: Mapping[int, str]
    negative: str

    def write(self, value: float) -> str:
        """Write a number."""
        number = to_number(value)
        if math.isnan(number):
            return self.symbols["nan"]
        text = self._unsigned(abs(number))
        if math.copysign(1, number) > 0:
            return text
        return self.negative.replace("-", self.symbols["minusSign"]).replace("#", text)

    def _unsigned(self, number: float) -> str:
        if math.isinf(number):
            return self.symbols["infinity"]
        whole, fraction = _decimals(number)
        grouped = self._grouped(whole).translate(self.digits)
        if not fraction:
            return grouped
        return grouped + self.symbols["decimal"] + fraction.translate(self.digits)

    def _grouped(self, digits: str) -> str:
        last, others = self.groups
        if not last or len(digits) < last + self.first_group:
            return digits
        head, groups = digits[:-last], [digits[-last:]]
        while len(head) > others:
            groups.append(head[-others:])
            head = head[:-others]
        # The separator is put between digits of ours, which are then written in the locale's.
        return self.symbols["group"].join([head, *reversed(groups)] if head else reversed(groups))


def _decimals(number: float) -> tuple[str, str]:
    """Round to three decimals, from the shortest digits that tell the number."""
    exact = Decimal(repr(number)) if number < 1e21 else Decimal(number_text(number))  # noqa: PLR2004
    rounded = exact.quantize(_DECIMALS, ROUND_HALF_UP, Context(prec=_MOST_DIGITS))
    whole, _, fraction = f"{rounded:f}".partition(".")
    return whole, fraction.rstrip("0")


def number_style(locale: Locale, numbering: str | None) -> NumberStyle:
    """Find how `locale` writes numbers, in a numbering system of its own choice or another."""
    system = numbering or str(locale.default_numbering_system)
    known = locale.number_symbols
    symbols = {**known["latn"], **known.get(system, {})}
    symbols["group"] = _NEWER_GROUP.get(str(locale), symbols["group"].replace("\u2019", "'"))
    pattern = str(locale.decimal_formats[None].pattern)
    positive, _, negative = pattern.partition(";")
    found = _PATTERN.search(positive)
    whole = found[1] if found else "#,##0"
    sizes = [len(part) for part in whole.split(",")[1:]]
    groups = (sizes[-1], sizes[-2] if len(sizes) > 1 else sizes[-1]) if sizes else (0, 0)
    return NumberStyle(
        symbols=MappingProxyType(symbols),
        groups=groups,
        first_group=2 if _groups_late(locale) else 1,
        digits=MappingProxyType(_digits(system)),
        negative=_PATTERN.sub("#", negative) if negative else "-#",
    )


def _groups_late(locale: Locale) -> bool:
    name = f"{locale.language}_{locale.territory}" if locale.territory else locale.language
    if locale.language in _BY_COUNTRY:
        return name in _GROUP_FROM_FIVE
    return locale.language in _GROUP_FROM_FIVE


#: The zeros of the numbering systems that are digits in a row.
_ZEROS: Mapping[str, int] = MappingProxyType(
    {
        "adlm": 0x1E950,
        "arab": 0x660,
        "arabext": 0x6F0,
        "beng": 0x9E6,
        "cakm": 0x11136,
        "deva": 0x966,
        "fullwide": 0xFF10,
        "gujr": 0xAE6,
        "guru": 0xA66,
        "khmr": 0x17E0,
        "knda": 0xCE6,
        "laoo": 0xED0,
        "mlym": 0xD66,
        "mtei": 0xABF0,
        "mymr": 0x1040,
        "nkoo": 0x7C0,
        "olck": 0x1C50,
        "orya": 0xB66,
        "tamldec": 0xBE6,
        "telu": 0xC66,
        "thai": 0xE50,
        "tibt": 0xF20,
    }
)


def _digits(system: str) -> dict[int, str]:
    zero = _ZEROS.get(system)
    return {ord("0") + digit: chr(zero + digit) for digit in range(10)} if zero else {}


def is_numbering(system: str) -> bool:
    """Tell whether numbers can be written in this system."""
    return system == "latn" or system in _ZEROS
