"""Which texts fit into the alphabet of GSM."""

from __future__ import annotations

import pytest

from carillon.providers.sms_alphabet import fits_gsm


@pytest.mark.parametrize(
    "text",
    ["", "Your order left.\r\n", "à è é ì ò ù Ç ß ñ", "ΔΦΓΛΩΠΨΣΘΞ", "[€] {~} ^ \\ |", "@_¿¡"],
)
def test_the_alphabet_and_its_extension_fit(text: str) -> None:
    assert fits_gsm(text)


@pytest.mark.parametrize(
    "text", ["â", "ê", "ç", "`", "“quoted”", "no\u2019t", "ł", "😀", "שלום", "\t"]
)
def test_anything_else_does_not(text: str) -> None:
    assert not fits_gsm(f"Hello {text}")


def test_the_alphabet_has_128_places_of_which_one_is_the_escape() -> None:
    assert sum(fits_gsm(chr(code)) for code in range(0x10000)) == 127 + len("\f^{}\\[~]|€")
