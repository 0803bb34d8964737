"""A key that stands twice in one object is found wherever it stands, and named."""

from __future__ import annotations

import json
from time import process_time

import pytest

from carillon.messages.json_keys import (
    MOST,
    RepeatedKey,
    marking_repeated,
    refuse_repeated,
    repeated_keys,
)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": 1, "a": 1}', "a"),
        ('{"a": 1, "\\u0061": 1}', "a"),
        ('{"a": {"b": [0, {"c": 1, "c": 2}]}}', "a.b[1].c"),
        ('[[{"": 1, "": 2}]]', "[0][0]."),
        ('{"a": 1e999, "b": ' + "9" * 5_000 + ', "a": 2}', "a"),
    ],
)
def test_it_is_named(text: str, place: str) -> None:
    with pytest.raises(RepeatedKey) as raised:
        refuse_repeated(text)

    assert str(raised.value) == f"{place} stands there twice; once is allowed"


@pytest.mark.parametrize("text", ['{"a": {"a": 1}, "A": 1}', '[{"a": 1}, {"a": 1}]', "1", "{}"])
def test_the_same_key_elsewhere_is_none(text: str) -> None:
    refuse_repeated(text)


def test_the_name_shows_no_secret_and_nothing_that_a_terminal_obeys() -> None:
    key = "\\u001b[31m http://a:hunter2@host/"

    with pytest.raises(RepeatedKey) as raised:
        refuse_repeated(f'{{"{key}": 1, "{key}": 2}}')

    assert str(raised.value).isprintable()
    assert "hunter2" not in str(raised.value)


@pytest.mark.slow
def test_very_many_cost_little_and_only_some_are_given() -> None:
    text = "[" + ",".join(['{"a": 1, "a": 2}'] * 50_000) + "]"

    begin = process_time()
    found = repeated_keys(json.loads(text, object_pairs_hook=marking_repeated))

    assert len(found) == MOST
    assert process_time() - begin < 5.0
