"""Marks the tests that start services or processes, so that the others can run alone."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOMS_WITH_SERVERS = ("scenarios", "cli", "bench", "api", "test_packaging.py")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts servers is marked, and still runs in CI."""
    for item in items:
        if item.path.relative_to(HERE).parts[0] in ROOMS_WITH_SERVERS:
            item.add_marker(pytest.mark.servers)
