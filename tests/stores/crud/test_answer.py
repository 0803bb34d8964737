"""Answers of the CRUD Service: parsed as they are, never at the price of the event loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.messages.model import JsonValue
from carillon.stores.crud import answer as crud_answer
from carillon.stores.crud.answer import (
    DOCUMENT_BYTES,
    DOCUMENT_VALUES,
    MOST_VALUES,
    WHOLE_BYTES,
    Malformed,
    parsed,
    parsed_list,
)

TEXTS = st.text(st.characters(codec="utf-8")) | st.sampled_from(['"', "\\", '\\"}', "]{", "[", ","])
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.lists(st.dictionaries(TEXTS, VALUES, max_size=4), max_size=4), st.booleans())
def test_a_long_list_is_what_a_short_one_is(documents: list[JsonValue], spaced: bool) -> None:  # noqa: FBT001
    text = json.dumps(documents, ensure_ascii=False, indent=2 if spaced else None).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crud_answer, "WHOLE_BYTES", 0)
        assert parsed_list(text) == documents


@pytest.mark.parametrize(
    "end", [b"", b"]]", b",]", b"}", b'{"a":1}]', b"] x", b",1]", b",[]]", b',{"a":}]', b',{"a"']
)
def test_a_long_list_of_another_shape_is_refused(end: bytes) -> None:
    long = b'[{"a":"' + b"x" * WHOLE_BYTES + b'"}'
    assert len(parsed_list(long + b"]")) == 1
    with pytest.raises(Malformed):
        parsed_list(long + end)


def keyed(count: int) -> bytes:
    return json.dumps({f"key{number}": number for number in range(count)}).encode()


def spaces() -> bytes:
    return b" " * (1 << 26)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "spaces": lambda: b"[" + spaces() + b"]",
    "spaces before": lambda: spaces() + b"[]",
    "an open text": lambda: b'[{"a":"' + spaces(),
    "quotes": lambda: b'[{"a":' + b'"\\"' * (1 << 22),
    "deep": lambda: b"[" * (1 << 22),
    "deep inside": lambda: b'[{"a":' + b"[" * (1 << 22),
    "braces": lambda: b"[" + b"{" * (1 << 22),
    "lists": lambda: b"[{" + b'"a":[' + b"[]," * (1 << 22) + b"[]]}]",
    "numbers": lambda: b'[{"a":[' + b"1," * (1 << 22) + b"1]}]",
    "keys": lambda: b"[" + keyed(DOCUMENT_VALUES + 1) + b"]",
    "many": lambda: b"[" + b",".join([keyed(DOCUMENT_VALUES - 1)] * 11) + b"]",
    "a large document": lambda: b'[{"a":"' + b"x" * DOCUMENT_BYTES + b'"}]',
}
"""Made when they are tried: together they take half a gigabyte."""


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_what_takes_too_much_is_refused_before_it_does(name: str) -> None:
    body = HOSTILE[name]()
    started = thread_time()
    with pytest.raises(Malformed):
        parsed_list(body)
    assert thread_time() - started < 2


@pytest.mark.parametrize(
    "text", [keyed(DOCUMENT_VALUES + 1), b'"' + b"x" * DOCUMENT_BYTES + b'"', b"[NaN]", b""]
)
def test_one_document_has_bounds(text: bytes) -> None:
    with pytest.raises(Malformed):
        parsed(text)


def test_a_page_of_ordinary_users_is_far_from_all_bounds() -> None:
    user = {f"field{number}": "some text of a user, with commas" for number in range(200)}
    body = json.dumps([user] * 200).encode()
    assert len(parsed_list(body)) == 200
    assert MOST_VALUES > 200 * 400 * 5
