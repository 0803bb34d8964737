"""A user's document that is hard to read keeps nobody else from being read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bson.binary import Binary
from pydantic_core import from_json

from carillon.messages.model import Audience, Cursor, Document, UserFields
from carillon.stores.mongodb.client import connected
from carillon.stores.mongodb.url import MongoUrl
from tests.stores.shelves import MongoShelf, SqliteShelf, filled


def nested(levels: int) -> Document:
    """A document as deep as an import lets in."""
    text = '{"a":' * levels + "{}" + "}" * levels
    document = json.loads(text)
    return {"_id": "deep", "clusters": ["all"], **document}


@pytest.mark.parametrize("levels", [150, 197, 198, 199, 200])
async def test_one_that_is_nested_as_deeply_as_an_import_allows(
    levels: int, tmp_path: Path
) -> None:
    deep = nested(levels)
    try:
        from_json(json.dumps(deep))
    except ValueError:
        pytest.skip("the import refuses it")
    users: list[Document] = [{"_id": name, "clusters": ["all"]} for name in ("a", "z")]
    async with filled(SqliteShelf(tmp_path / "s.db"), [*users, deep]) as directory:
        for audience in (Audience(["a", "deep", "z"]), Audience((), ["all"])):
            page = await directory.page(audience, Cursor())
            assert sorted(one.user_id for one in page.recipients) == ["a", "deep", "z"]
        [found] = await directory.users(["deep"])
        assert found.document["a"] == deep["a"]


@pytest.mark.servers
async def test_uuids_of_any_length(mongodb: MongoUrl) -> None:
    shelf = MongoShelf(mongodb)
    async with filled(shelf, [{"_id": "a", "clusters": ["all"]}], fields=UserFields()) as directory:
        with connected(mongodb) as client:
            client[mongodb.database]["users"].insert_many(
                [
                    {"_id": name, "clusters": ["all"], "__STATE__": "PUBLIC", "n": Binary(data, 4)}
                    for name, data in (("bad", b"short"), ("good", bytes(range(16))))
                ]
            )
        page = await directory.page(Audience((), ["all"]), Cursor())
        found = {one.user_id: one.document.get("n") for one in page.recipients}
    assert found == {
        "a": None,
        "bad": "c2hvcnQ=",
        "good": "00010203-0405-0607-0809-0a0b0c0d0e0f",
    }
