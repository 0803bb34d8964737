"""What MongoDB holds that no other store does, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest
from bson import Binary, Decimal128, Int64, ObjectId

from carillon.messages.errors import TemplateNotFound
from carillon.messages.model import Audience, Cursor, Document, UserFields
from carillon.stores.mongodb.client import Stored, connected
from carillon.stores.mongodb.directory import LISTED, PAGE
from tests.stores.shelves import MongoShelf, filled
from tests.stores.test_directory import everybody, everybody_and

pytestmark = pytest.mark.servers
HEX = "65f0c0ffee65f0c0ffee65f0"


def put(shelf: MongoShelf, collection: str, documents: Sequence[Stored]) -> None:
    with connected(shelf.url) as client:
        public = [{"__STATE__": "PUBLIC", **document} for document in documents]
        client[shelf.url.database][collection].insert_many(public)


async def test_ids_of_every_kind_are_found_by_their_text(mongo_shelf: MongoShelf) -> None:
    put(mongo_shelf, "users", [{"_id": ObjectId(HEX)}, {"_id": "ada"}, {"_id": Int64(7)}])
    put(mongo_shelf, "templates", [{"_id": ObjectId(HEX), "name": "x"}, {"_id": "hi", "name": "y"}])
    async with filled(mongo_shelf) as it:
        found, missing = await everybody(it, Audience(["ada", HEX.upper(), "7", "07"]))
        assert [(one.user_id, one.key) for one in found] == [
            ("ada", "ada"),
            (HEX.upper(), HEX),
            ("7", "7"),
        ]
        assert missing == ["07"]
        assert (await it.template(HEX))["name"] == "x"
        assert (await it.template("hi"))["name"] == "y"
        for name in ("\ud800", "x" * 5000, ""):
            with pytest.raises(TemplateNotFound):
                await it.template(name)


async def test_a_walk_goes_through_ids_of_every_kind(mongo_shelf: MongoShelf) -> None:
    numbers: list[object] = [number / 2 for number in range(-20, PAGE)]
    texts: list[object] = [f"u{number}" for number in range(PAGE + 7)]
    objects: list[object] = [ObjectId() for _ in range(PAGE)]
    keys = [*numbers, *texts, *objects]
    put(mongo_shelf, "users", [{"_id": key, "clusters": ["a", "b"]} for key in keys])
    async with filled(mongo_shelf) as it:
        found, _ = await everybody(it, Audience((), ["a", "b"]))
    assert len(found) == len(keys)
    assert len({one.key for one in found}) == len(keys)
    assert found[-1].key == str(objects[-1])


async def test_many_clusters_are_asked_for_a_few_at_a_time(mongo_shelf: MongoShelf) -> None:
    names = [f"c{number}" for number in range(2 * LISTED + 1)]
    users: list[Document] = [{"_id": name, "clusters": [name]} for name in names]
    async with filled(mongo_shelf, users) as it:
        page = await it.page(Audience(["x"], names), Cursor(1))
        assert page.next == Cursor(1 + LISTED)
        found, _ = await everybody(it, Audience(["x"], [*names, "\ud800"]))
    assert sorted(one.key for one in found) == sorted(names)


async def test_an_id_that_very_many_share_reaches_none_of_them(mongo_shelf: MongoShelf) -> None:
    shared: list[Document] = [
        {"_id": f"u{number:04}", "code": "shared"} for number in range(2 * PAGE)
    ]
    users: list[Document] = [
        *shared,
        {"_id": "v", "code": "own"},
        {"_id": "w", "code": "hidden", "__STATE__": "DRAFT"},
    ]
    async with filled(mongo_shelf, users, fields=UserFields(id="code")) as it:
        audience = Audience(["own", "x", "shared", "hidden"])
        found, missing, ambiguous = await everybody_and(it, audience)
    assert [one.key for one in found] == ["v"]
    assert set(ambiguous) == {"shared"}
    assert sorted(missing) == ["hidden", "x"]


async def test_an_id_may_be_one_of_several(mongo_shelf: MongoShelf) -> None:
    users: list[Document] = [{"_id": "1", "code": ["A", "B"]}]
    async with filled(mongo_shelf, users, fields=UserFields(id="code")) as it:
        found, missing = await everybody(it, Audience(["B", "C"]))
    assert ([one.user_id for one in found], missing) == (["B"], ["C"])


async def test_values_json_does_not_know_are_told_as_texts(mongo_shelf: MongoShelf) -> None:
    other: Stored = {
        "at": datetime(2024, 2, 29, 12, 0, 0, 5000, UTC),
        "price": Decimal128("1.50"),
        "bytes": Binary(b"\xff"),
        "uuid": Binary.from_uuid(UUID(int=1)),
        "friend": ObjectId(HEX),
        "many": [Int64(2**60), {"deep": datetime(1, 1, 1, tzinfo=UTC)}],
        "seven": 7.0,
        "half": 0.5,
        "nan": float("nan"),
        "none": None,
        "yes": True,
    }
    put(mongo_shelf, "users", [{"_id": "ada", **other}])
    async with filled(mongo_shelf) as it:
        (ada,) = await it.users(["ada"])
    assert ada.document == {
        "_id": "ada",
        "__STATE__": "PUBLIC",
        "at": "2024-02-29T12:00:00.005Z",
        "price": "1.50",
        "bytes": "/w==",
        "uuid": str(UUID(int=1)),
        "friend": HEX,
        "many": [2**60, {"deep": "0001-01-01T00:00:00.000Z"}],
        "seven": 7,
        "half": 0.5,
        "nan": None,
        "none": None,
        "yes": True,
    }
    assert isinstance(ada.document["seven"], int)


def test_an_import_keeps_the_kind_of_an_id(mongo_shelf: MongoShelf) -> None:
    other = HEX.replace("f", "a")
    put(mongo_shelf, "users", [{"_id": HEX}, {"_id": 7}])
    mongo_shelf.add("user", [{"_id": HEX, "n": 1}, {"_id": other, "n": 2}, {"_id": "7", "n": 3}])
    with connected(mongo_shelf.url) as client:
        found = list(client[mongo_shelf.url.database]["users"].find().sort("n", 1))
    assert [one["_id"] for one in found] == [HEX, ObjectId(other), 7]
