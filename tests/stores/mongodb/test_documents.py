"""Ids of MongoDB as texts, and back."""

from __future__ import annotations

import pytest
from bson import ObjectId

from carillon.stores.mongodb.documents import from_place, known_by, new_id, place

HEX = "65f0c0ffee65f0c0ffee65f0"


@pytest.mark.parametrize(
    "value",
    ["", "ada", "=", "#7", "=ada", HEX, HEX.upper(), ObjectId(HEX), 7, -7, 0, 2**62, 0.5, 1e300],
)
def test_a_place_leads_back_to_its_id(value: object) -> None:
    found = from_place(place(value))
    assert (found, type(found)) == (value, type(value))


def test_a_place_of_another_directory_is_understood() -> None:
    assert from_place(HEX) == ObjectId(HEX)
    assert from_place("ada") == "ada"
    assert from_place("#ada") == "#ada"


def test_a_text_asks_for_every_kind_of_id_it_could_name() -> None:
    assert known_by("ada") == ["ada"]
    assert known_by("7") == ["7", 7]
    assert known_by("07") == ["07"]
    assert known_by(HEX.upper()) == [HEX.upper(), ObjectId(HEX)]
    assert known_by(str(2**63)) == [str(2**63)]
    assert known_by("\ud800") == []


def test_only_what_keeps_its_text_becomes_an_object_id() -> None:
    assert new_id(HEX) == ObjectId(HEX)
    assert new_id(HEX.upper()) == HEX.upper()
    assert new_id("ada") == "ada"
