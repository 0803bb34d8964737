"""The command line of the bench explains itself and refuses what it cannot do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.children import ChildError
from bench.parts import PARTS, Part
from bench.section import Bar, Section

BAR = Bar("ratio", 0.5, "at least", 0.5)


@pytest.mark.parametrize("part", [part.name for part in PARTS])
def test_every_part_has_help(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([part, "--help"])
    assert end.value.code == 0
    assert "--json FILE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["million", "--users", "0"], "'0' is no number from 1 on"),
        (["fan-out", "--users", "10,many"], "'many' is no number from 1 on"),
        (["live", "--seconds", "-1"], "'-1' is no number above 0"),
        (["everything"], "invalid choice: 'everything'"),
    ],
)
def test_a_wrong_option_is_named(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert words in capsys.readouterr().err


def test_a_bar_tells_whether_it_is_met() -> None:
    assert str(BAR) == "ratio: 0.5 (at least 0.5: met)"
    slow = Bar("p99", 1.25, "at most", 1.2, " ms")
    assert str(slow) == "p99: 1.25 ms (at most 1.2 ms: **missed**)"


def test_what_was_measured_before_a_failure_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> Section:
        raise ExceptionGroup("in a nursery", [ChildError("carillon did not start: no such key")])

    works = Part("one", "", lambda _: None, lambda *_: Section("One", ["table"], [], [BAR]))
    broken = Part("two", "", lambda _: None, fails)
    monkeypatch.setattr("bench.__main__.PARTS", (works, broken))
    output = tmp_path / "results.json"
    with pytest.raises(SystemExit, match="bench: carillon did not start: no such key"):
        main(["all", "--folder", str(tmp_path), "--json", str(output)])
    kept = json.loads(output.read_text())
    assert kept["one"]["bars"][0]["met"] is True
    assert "two" not in kept
