"""Marks the tests that start services or processes, so that the others can run alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from carillon.stores.mongodb.url import MongoUrl
from tests.neighbours.mongodb import named_or_started, new_database
from tests.properties import register_profiles

ROOMS_WITH_SERVERS = ("scenarios", "cli", "bench", "api", "docs", "test_packaging.py")
HERE = Path(__file__).parent

register_profiles()


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much of the hostile inputs is tried."""
    parser.addoption("--hostile", choices=["some", "full"], default="some")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A room is not even imported where all its tests are left out."""
    left_out = "not servers" in config.option.markexpr
    inside = collection_path.is_relative_to(HERE) and collection_path.relative_to(HERE).parts[:1]
    return True if left_out and inside and inside[0] in ROOMS_WITH_SERVERS else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts servers is marked, and still runs in CI."""
    for item in items:
        if item.path.relative_to(HERE).parts[0] in ROOMS_WITH_SERVERS:
            item.add_marker(pytest.mark.servers)


@pytest.fixture(scope="session")
def mongodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A MongoDB for all tests that do it no harm."""
    with named_or_started(tmp_path_factory.mktemp("mongodb")) as url:
        yield url


@pytest.fixture
def mongodb(mongodb_server: str) -> Iterator[MongoUrl]:
    """A database of one test."""
    with new_database(mongodb_server) as url:
        yield url
