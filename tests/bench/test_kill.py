"""A killed service loses nothing and doubles nothing, at a size that shows no more than that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.running import measured

pytestmark = pytest.mark.servers


def test_nothing_is_lost_or_doubled_by_kills_at_random_and_between_any_two_writes(
    tmp_path: Path,
) -> None:
    options = ["--users", "600", "--kills", "2", "--points", "5", "--backlog", "20000"]
    found = measured("kill", tmp_path, *options)
    assert [bar["name"] for bar in found["bars"] if not bar["met"]] == []
    at_each_point = [run for run in found["runs"] if run["points"]]
    assert len(at_each_point) == 2
    assert all(run["points"] >= 8 for run in at_each_point)
