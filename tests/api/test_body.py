"""What JSON is let in at the edge, and that a large body is judged quickly."""

from __future__ import annotations

import json
from contextlib import suppress
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.body import parse_json
from messages.errors import BadCommand


def nested(levels: int, inner: str = "0") -> bytes:
    return ("[" * levels + inner + "]" * levels).encode()


@pytest.mark.parametrize("inner", ["0", "{}", "[]", "[ ]", "{\n}"])
def test_200_levels_are_let_in_and_no_more(inner: str) -> None:
    own = 0 if inner == "0" else 1
    parse_json(nested(200 - own, inner))
    with pytest.raises(BadCommand):
        parse_json(nested(201 - own, inner))


@pytest.mark.parametrize(
    "text",
    [
        '{"__proto__": 1}',
        '[{"a": {"\\u005f_proto__": 1}}]',
        '{"constructor": {"prototype": 1}}',
        '{"c\\u006fnstructor": {"a": 1, "prototype": 1}}',
    ],
)
def test_keys_that_nobody_should_send_are_refused(text: str) -> None:
    with pytest.raises(BadCommand, match="forbidden key"):
        parse_json(text.encode())


@pytest.mark.parametrize("text", ['{"constructor": 1}', '["__proto__"]', '{"prototype": {}}'])
def test_such_words_are_let_in_elsewhere(text: str) -> None:
    assert parse_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize("text", ["1e999", "-1E+400", "1" * 400 + ".0", "NaN", "Infinity"])
def test_numbers_without_end_are_refused(text: str) -> None:
    with pytest.raises(BadCommand, match="not valid JSON"):
        parse_json(f'{{"a": {text}}}'.encode())


@pytest.mark.parametrize("text", ["1e300", "1e-999", "1" * 400, '"1e999"', '"[ ]{}[]"'])
def test_what_only_looks_like_them_is_let_in(text: str) -> None:
    assert parse_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" + ",".join(["{}"] * 40_000) + "]",
        "[" + ",".join(["{ }"] * 80_000) + "]",
        '["\\u0041",' + ",".join(['{"a":[]}'] * 40_000) + "]",
        "[1e100," + ",".join(["[[]]"] * 60_000) + "]",
        "[" + "9" * 900_000 + "]",
    ],
    ids=lambda text: text[:20],
)
def test_a_large_body_is_judged_quickly(text: str) -> None:
    started = process_time()
    with suppress(BadCommand):
        parse_json(text.encode())
    assert process_time() - started < 0.1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
)


@given(JSON | st.text(), st.sampled_from([None, 1]))
def test_harmless_json_arrives_as_it_was_sent(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    assert parse_json(text.encode()) == value
