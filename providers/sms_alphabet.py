"""Which texts an SMS carries in the alphabet of GSM, 160 characters in one, and which in UCS-2."""

from __future__ import annotations

from typing import Final

_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = "\f^{}\\[~]|€"
_GSM: Final = frozenset(_BASIC + _EXTENSION)
"""GSM 03.38, the default alphabet and its extension table."""


def fits_gsm(text: str) -> bool:
    """Whether every character is one of GSM 03.38; otherwise 70 of them fit into one SMS."""
    return _GSM.issuperset(text)
