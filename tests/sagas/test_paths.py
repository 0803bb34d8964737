"""Paths find what `_.get` of lodash finds in plain JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.messages.model import JsonValue
from carillon.sagas.paths import find_list, once, path

PAYLOAD: JsonValue = {
    "a": {"b": [{"c": 1}, {"c": 2}], "": "nameless", "x.y": "dotted"},
    "a.b": "spelt like the whole path",
    "list": ["x", None, "y"],
    "nothing": None,
    "empty": [],
    "zero": 0,
    "no": False,
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a.b.1.c", 2),
        ("a.b[1].c", 2),
        ('a["b"][0]["c"]', 1),
        ("a['x.y']", "dotted"),
        ("a.b", "spelt like the whole path"),
        ("a.", "nameless"),
        ("zero", 0),
        ("no", False),
        ("nothing", None),
        ("nothing.more", None),
        ("a.b.2.c", None),
        ("a.b.-1", None),
        ("a.b.01.c", None),
        ("a.b.length", None),
        ("list.0.0", None),
        ("list.c", None),
        ("absent", None),
        ("", None),
        (".a", None),
        ("__proto__.constructor", None),
        ("constructor.name", None),
    ],
)
def test_what_a_path_finds(text: str, found: JsonValue) -> None:
    assert path(text).find(PAYLOAD) == found


@pytest.mark.parametrize("payload", [None, 5, "text", True, [], [[]], {}])
def test_a_payload_of_any_kind_may_hold_nothing(payload: JsonValue) -> None:
    assert path("a.b").find(payload) is None
    assert path("0").find([7]) == 7


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["list"], ["x", "y"]),
        (["a.b.0.c", "list", "zero"], [1, "x", "y", 0]),
        (["zero"], [0]),
        (["empty"], []),
        (["empty", "absent"], []),
        (["absent", "nothing"], None),
        ([], None),
    ],
)
def test_lists_are_joined_and_scalars_wrapped(texts: list[str], found: JsonValue) -> None:
    assert find_list([path(text) for text in texts], PAYLOAD) == found


def test_repeated_texts_count_once_and_the_rest_stays() -> None:
    assert once(["a", {}, "b", "a", {}, 1, 1]) == ["a", {}, "b", {}, 1, 1]


@given(st.text(max_size=60))
def test_no_text_is_too_odd_for_a_path(text: str) -> None:
    path(text).find(PAYLOAD)
    path(text).find({text: 1})
