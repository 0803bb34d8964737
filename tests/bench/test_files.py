"""What one recipient passes is counted: files, and changes from one file to another."""

from __future__ import annotations

from pathlib import Path

from bench.files import traced
from tests.bench.running import measured

ROOT = Path(__file__).parent.parent.parent


def test_changes_are_counted_on_the_loop_and_everywhere() -> None:
    calls = [
        ("a.py", "one", True),
        ("a.py", "two", True),
        ("c.py", "one", False),
        ("b.py", "one", True),
        ("a.py", "one", True),
    ]
    found = traced("send", calls)
    assert (found.files, found.changes) == (2, 2)
    assert (found.all_files, found.all_changes) == (3, 3)
    assert found.first_changes == 2
    assert found.pairs == [("a.py + b.py", 2)]


def test_each_way_leads_through_files_that_exist(tmp_path: Path) -> None:
    found = measured("files", tmp_path)
    assert [run["way"] for run in found["runs"]] == ["send", "saga", "recovery"]
    for run in found["runs"]:
        assert run["changes"] >= run["files"] > 10
        assert run["all_files"] >= run["files"]
        for pair, times in run["pairs"]:
            assert times > 0
            assert all((ROOT / file).is_file() for file in pair.split(" + "))
    assert len(found["bars"]) == 4
