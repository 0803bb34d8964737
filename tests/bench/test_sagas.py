"""Commands of sagas are measured: each comes to one message and one event."""

from __future__ import annotations

from pathlib import Path

from tests.bench.running import measured


def test_commands_are_answered_and_told(tmp_path: Path) -> None:
    found = measured("sagas", tmp_path, "--callers", "2", "--repeat", "1", "--seconds", "0.5")
    [run] = found["runs"]
    assert run["load"]["requests"] > 0
    assert 0 < run["load"]["p50_ms"] <= run["load"]["p99_ms"] <= run["load"]["most_ms"]
    assert run["server_cpu_seconds"] > 0
    [bar] = found["bars"]
    assert (bar["side"], bar["bar"]) == ("at least", 224)
    assert bar["met"] is (bar["figure"] >= 224)
