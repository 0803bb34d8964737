"""The stores that a contract test runs against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from carillon.stores.mongodb.url import MongoUrl
from tests.stores.shelves import MongoShelf, Shelf, SqliteShelf


@pytest.fixture
def mongo_shelf(mongodb: MongoUrl) -> MongoShelf:
    return MongoShelf(mongodb)


@pytest.fixture(params=["sqlite", pytest.param("mongodb", marks=pytest.mark.servers)])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    if request.param == "sqlite":
        yield SqliteShelf(tmp_path / "store.db")
    else:
        yield request.getfixturevalue("mongo_shelf")
