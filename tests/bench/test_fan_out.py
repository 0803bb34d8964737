"""The fan-out works: every contender does its whole job and is measured while it does.

The bench itself checks each run against what arrived, and ends with an error if it differs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.fan_out import NODE
from bench.peers.node import NoNodeError, find_node
from bench.section import say
from tests.bench.running import measured

USERS = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fan_out")


@pytest.fixture(scope="module")
def no_node(folder: Path) -> str | None:
    try:
        find_node(folder / "cache", say)
    except NoNodeError as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def found(folder: Path, no_node: str | None) -> dict[str, Any]:
    without = ["--no-node"] if no_node else []
    return measured("fan-out", folder, "--users", str(USERS), "--repeat", "1", *without)


def test_each_contender_is_measured(found: dict[str, Any]) -> None:
    assert {run["contender"] for run in found["runs"]} >= {
        "Carillon, one cluster",
        "Carillon, ids listed",
        "bare trio loop",
        "aiohttp, gather",
    }
    for run in found["runs"]:
        assert run["users"] == USERS
        assert min(run["cost"].values()) > 0
        assert run["cost"]["peak_mb"] >= run["cost"]["idle_mb"]
        assert run["provider_share"] > 0
    assert found["bars"][0]["name"] == f"{USERS} users, times bare trio loop"


def test_the_node_peer_does_the_same_job(found: dict[str, Any], no_node: str | None) -> None:
    if no_node:
        pytest.skip(f"no Node.js peer here: {no_node}")
    [run] = [run for run in found["runs"] if run["contender"] == NODE]
    assert min(run["cost"].values()) > 0
    assert found["bars"][1]["name"] == f"{USERS} users, times {NODE}"


def test_node_that_is_not_here_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoNodeError, match="node and npm are not on the PATH"):
        find_node(tmp_path / "cache", say)
