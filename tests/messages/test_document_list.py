"""A list of objects that is kept as JSON, and read from it some at a time."""

from __future__ import annotations

import json

import pytest

from carillon.messages.document_list import DocumentList
from carillon.messages.errors import BadCommand
from carillon.messages.json_bounds import Bounds, TooManyValues
from carillon.messages.json_input import SHORT, as_documents, read_json
from carillon.messages.model import Document

BOUNDS = Bounds(1_000_000, documents=frozenset({"to"}))
USERS: list[Document] = [
    {"name": f"Zoë {number} \U0001f600", "deep": {"at": [number, None, 1.5, "\0"]}}
    for number in range(500)
]
WAYS = pytest.mark.parametrize("padding", [0, SHORT], ids=["at once", "piece by piece"])


def read(value: object, padding: int = 0, bounds: Bounds = BOUNDS) -> object:
    body = read_json(json.dumps({"to": value}).encode() + b" " * padding, bounds)
    assert isinstance(body, dict)
    return body["to"]


@WAYS
def test_it_holds_what_was_sent(padding: int) -> None:
    kept = read(USERS, padding)
    assert isinstance(kept, DocumentList)
    assert (len(kept), list(kept)) == (500, USERS)
    assert kept[3:450] == USERS[3:450]
    assert (kept[0], kept[-1], kept[77]) == (USERS[0], USERS[-1], USERS[77])
    assert json.loads(b"".join(kept.json())) == USERS


def test_a_large_object_is_read_alone() -> None:
    users: list[Document] = [{"a": 1}, {"text": "x" * 100_000}, {"b": 2}]
    kept = as_documents(users)
    assert isinstance(kept, DocumentList)
    assert list(kept.blocks()) == [[one] for one in users]


@pytest.mark.parametrize("value", [[], None, 5, "a", {"a": 1}])
@WAYS
def test_what_is_no_list_of_objects_stays_as_it_is(value: object, padding: int) -> None:
    assert read(value, padding) == value


def test_items_that_are_no_objects_are_left_to_the_validation_of_a_short_text() -> None:
    assert read([{"a": 1}, "b"]) == [{"a": 1}, "b"]


@pytest.mark.parametrize("item", ["b", 5, None, [{}], True])
def test_an_item_of_a_long_text_that_is_no_object_is_named(item: object) -> None:
    with pytest.raises(BadCommand, match=r"^to\[2\] must be an object$"):
        read([{}, {"a": "b"}, item], SHORT)


@pytest.mark.parametrize(
    "inner",
    ['{"__proto__": 1}', '{"a": {"constructor": {"prototype": {}}}}', '{"a": NaN}', '{"a"}'],
)
@WAYS
def test_what_is_never_let_in_is_not_let_in_here(inner: str, padding: int) -> None:
    with pytest.raises(BadCommand):
        read_json(b'{"to": [{}, %b]}' % inner.encode() + b" " * padding, BOUNDS)


@pytest.mark.parametrize(
    "text", ['{"to": [{}', '{"to": [{} {}]}', '{"to": [{},]}', '{"to": [,{}]}']
)
@WAYS
def test_a_broken_list_is_no_json(text: str, padding: int) -> None:
    with pytest.raises(BadCommand, match=r"not valid JSON|must be an object"):
        read_json(text.encode() + b" " * padding, BOUNDS)


@WAYS
def test_each_value_within_counts(padding: int) -> None:
    few = Bounds(1000, documents=frozenset({"to"}))
    with pytest.raises(TooManyValues, match=r"1,000 JSON values \(limits.values\)"):
        read([{"a": 1}] * 600, padding, few)


@WAYS
def test_it_is_nested_as_deeply_as_any_text(padding: int) -> None:
    for levels, fits in ((198, True), (199, False)):
        text = b'{"to":[' + b'{"a":' * levels + b"1" + b"}" * levels + b"]}" + b" " * padding
        if fits:
            read_json(text, BOUNDS)
        else:
            with pytest.raises(BadCommand):
                read_json(text, BOUNDS)
