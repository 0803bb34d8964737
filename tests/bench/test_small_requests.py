"""Small requests are measured beside the bare route."""

from __future__ import annotations

from pathlib import Path

from tests.bench.running import measured


def test_both_contenders_answer(tmp_path: Path) -> None:
    found = measured("small", tmp_path, "--callers", "2", "--repeat", "1", "--seconds", "0.5")
    assert [run["contender"] for run in found["runs"]] == ["Carillon", "bare quart-trio route"]
    for run in found["runs"]:
        assert run["load"]["requests"] > 0
        assert 0 < run["load"]["p50_ms"] <= run["load"]["p99_ms"] <= run["load"]["most_ms"]
    assert found["bars"][0]["figure"] > 0
