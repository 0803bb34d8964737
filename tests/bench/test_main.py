"""The command line of the bench explains itself and refuses what it cannot do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.children import ChildError
from bench.part import Part
from bench.parts import PARTS
from bench.section import (
    FIGURES,
    Bar,
    NoMarksError,
    Row,
    Section,
    table,
    write_between_marks,
)

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


def test_figures_go_between_the_marks_of_their_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Part("one", "", lambda _: None, lambda *_: Section("One", ["| 7 |"], [], [BAR]))
    monkeypatch.setattr("bench.__main__.PARTS", (part,))
    page = tmp_path / "page.md"
    page.write_text(
        "Before\n<!-- bench: machine -->\n<!-- bench: end of machine -->\n"
        "<!-- bench: one -->\n| 6 |\n<!-- bench: end of one -->\nAfter\n"
    )
    for _ in range(2):  # what is written once can be written again
        main(["all", "--folder", str(tmp_path), "--write", str(page)])
    before, _, rest = page.read_text().partition("<!-- bench: one -->\n")
    assert before.startswith("Before\n<!-- bench: machine -->\n")
    assert "Python" in before
    assert rest == f"\n| 7 |\n\n- {BAR}\n\n<!-- bench: end of one -->\nAfter\n"


def test_a_page_without_marks_is_left_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- bench: one -->\n")
    with pytest.raises(NoMarksError, match="no lines <!-- bench: one -->"):
        write_between_marks(page, "one", "text")
    assert page.read_text() == "<!-- bench: one -->\n"


@pytest.mark.parametrize("name", ["machine", *(part.name for part in PARTS)])
def test_the_page_has_marks_for_every_part(name: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(FIGURES.read_text())
    write_between_marks(page, name, "the figures")
    assert "the figures" in page.read_text()


def test_no_folder_of_the_bench_is_too_full() -> None:
    bench = FIGURES.parent.parent / "bench"
    for folder in (bench, *(one for one in bench.iterdir() if (one / "__init__.py").exists())):
        assert len([one for one in folder.iterdir() if one.is_file()]) <= 25, folder


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


def test_a_table_has_a_column_for_each_title_and_says_three_digits() -> None:
    rows: list[Row] = [
        {"users": 20_000, "who": "one", "a second": 1234.5},
        {"users": 5, "who": "two", "a second": 0.98765, "times": None},
    ]
    assert table(rows) == (
        "| users | who | a second | times |\n| --- | --- | --- | --- |\n"
        "| 20,000 | one | 1,234 | - |\n| 5 | two | 0.988 | - |"
    )
