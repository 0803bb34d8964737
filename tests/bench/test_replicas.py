"""Replicas keep a limit together, and lose and double nothing when one of them dies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.running import measured

pytestmark = pytest.mark.servers


def test_limits_hold_and_nothing_is_lost_though_one_is_killed_and_one_stopped(
    tmp_path: Path,
) -> None:
    options = ["--users", "1500", "--rate", "150", "--concurrency", "12"]
    found = measured("replicas", tmp_path, *options)
    # How much of the rate is used depends on what else the machine does.
    missed = [bar["name"] for bar in found["bars"] if not bar["met"]]
    assert [name for name in missed if "share of the rate" not in name] == []
