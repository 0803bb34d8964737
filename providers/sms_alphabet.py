"""How an SMS carries a text: in the alphabet of GSM or in UCS-2, and in how many parts.

GSM 03.38 and 03.40: a part has room for 140 bytes, 6 of which say which one of several it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = frozenset("\f^{}\\[~]|€")
"""These take two places."""
_GSM: Final = _EXTENSION | frozenset(_BASIC)
_ALONE: Final = {"gsm": 160, "ucs-2": 70}
_TOGETHER: Final = {"gsm": 153, "ucs-2": 67}
_LAST_OF_ONE: Final = "\uffff"
"""The last character that takes one place in UCS-2."""


@dataclass(frozen=True, slots=True)
class SmsParts:
    """What a text becomes: `units` are places taken, in all `parts` together."""

    alphabet: Literal["gsm", "ucs-2"]
    units: int
    parts: int


def fits_gsm(text: str) -> bool:
    """Whether every character is one of GSM 03.38, its extension included."""
    return _GSM.issuperset(text)


def sms_parts(text: str) -> SmsParts:
    """The SMS that a text becomes; one that is empty is one, too."""
    if fits_gsm(text):
        return _parts("gsm", [2 if character in _EXTENSION else 1 for character in text])
    return _parts("ucs-2", [2 if character > _LAST_OF_ONE else 1 for character in text])


def _parts(alphabet: Literal["gsm", "ucs-2"], places: Iterable[int]) -> SmsParts:
    """A character that takes two places stands in one part whole."""
    room, units, parts, taken = _TOGETHER[alphabet], 0, 1, 0
    for one in places:
        units += one
        if taken + one > room:
            parts, taken = parts + 1, 0
        taken += one
    return SmsParts(alphabet, units, 1 if units <= _ALONE[alphabet] else parts)
