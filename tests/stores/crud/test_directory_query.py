"""How much one question to the CRUD Service asks: contracts 1.1, *URL length*."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.stores.crud.query import KEYSET_BYTES, URL_BYTES, Collection, matching
from carillon.stores.ids import RequestedIds
from tests.properties import examples

USERS = Collection("http://crud-service/some/path/", "my users")
IDS = st.lists(st.text(st.characters(), max_size=400) | st.sampled_from(["a", "A", "f" * 24]))


def test_a_collection_ends_with_a_slash() -> None:
    assert USERS.url == "http://crud-service/some/path/my%20users/"


@pytest.mark.slow
@settings(max_examples=examples(60))
@given(IDS)
def test_chunks_cover_a_list_in_order_and_fit(ids: list[str]) -> None:
    start = 0
    while start < len(ids):
        chunk = USERS.chunk("id", ids, start)
        assert 0 < chunk.length <= 200
        covered = list(dict.fromkeys(ids[start : start + chunk.length]))
        assert sorted(covered) == sorted([*chunk.askable, *chunk.unaskable])
        assert len(USERS.list_url(matching("id", chunk.askable))) <= URL_BYTES - KEYSET_BYTES
        start += chunk.length


def test_200_short_ids_are_one_question() -> None:
    ids = [f"u{n}" for n in range(450)]
    lengths = [USERS.chunk("id", ids, start).length for start in (0, 200, 400)]
    assert lengths == [200, 200, 50]


def test_two_spellings_of_an_object_id_are_one_user() -> None:
    asked = RequestedIds(["A" * 24, "a" * 24, "b" * 24])
    assert asked.without([{"_id": "a" * 24}], "_id") == ["b" * 24]


def test_two_ids_that_differ_in_case_are_two_users() -> None:
    asked = RequestedIds(["Mark", "mark"])
    assert asked.without([{"_id": "mark"}], "_id") == ["Mark"]
