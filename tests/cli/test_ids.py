"""How an id begins is enough, where no other begins so."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from carillon.cli.failure import BadInput
from carillon.cli.ids import whole_id

KNOWN = [f"{number:02}-abcdef" for number in range(12)] + ["x", "xy"]


def beginning(prefix: str, most: int) -> Sequence[str]:
    return [one for one in KNOWN if one.startswith(prefix)][:most]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("03", "03-abcdef"),
        ("11-abcdef", "11-abcdef"),
        ("x", "x"),  # though another begins so
        ("unknown", "unknown"),
    ],
)
def test_the_only_one_that_begins_so_is_meant(given: str, meant: str) -> None:
    assert whole_id(given, "a dispatch", beginning) == meant


def test_several_are_listed() -> None:
    with pytest.raises(BadInput) as caught:
        whole_id("1", "a dispatch", beginning)
    assert str(caught.value).splitlines() == [
        "1 is how the ids of several begin; which one?",
        "  10-abcdef",
        "  11-abcdef",
    ]


def test_of_many_the_newest_are_listed() -> None:
    with pytest.raises(BadInput) as caught:
        whole_id("0", "a dispatch", beginning)
    lines = str(caught.value).splitlines()
    assert lines[1:] == [*(f"  {one}" for one in KNOWN[:10])]
    with pytest.raises(BadInput) as caught:
        whole_id("0", "a dispatch", lambda *_: [f"0-{number}" for number in range(11)])
    assert str(caught.value).splitlines()[-2:] == ["  0-9", "  …"]


def test_a_service_that_knows_no_beginnings_is_not_believed() -> None:
    assert whole_id("zz", "a dispatch", lambda *_: KNOWN) == "zz"


def test_a_whole_id_is_not_looked_for() -> None:
    def never(prefix: str, most: int) -> Sequence[str]:
        raise AssertionError

    name = "6f1c2a4e-0c55-4b6f-9a43-0d1f8a2f7c11"
    assert whole_id(name, "a dispatch", never) == name
    with pytest.raises(BadInput, match="The id of an event must not be empty"):
        whole_id("", "an event", never)


def test_an_id_cannot_make_a_terminal_obey() -> None:
    with pytest.raises(BadInput) as caught:
        whole_id("a", "a dispatch", lambda *_: ["a\x1b[2J", "ab"])
    assert "\x1b" not in str(caught.value)
