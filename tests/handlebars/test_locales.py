"""toLocale in every locale: what Node's Intl writes itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from carillon.handlebars import Engine

HERE = Path(__file__).parent
TABLE = json.loads((HERE.parents[1] / "handlebars/locales/intl.json").read_text(encoding="utf-8"))
TAGS = [
    *TABLE["dates"],
    *TABLE["numbers"]["latn"],
    *("zh-TW", "zh-HK", "eng-UK", "iw", "sh-BA", "ca-ES-valencia", "en-IT", "xx-YY", "sr-Latn-ME"),
    *("ar-EG-u-nu-latn", "de-u-nu-thai", "fa-u-nu-latn", "hi-u-ca-gregory-nu-deva", "bo-u-nu-tibt"),
]
FIRST = datetime(1890, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moments(draw: Random) -> list[datetime]:
    # Node puts a second date's parts together as the first one's: pad, halves of the day, years.
    drawn = [FIRST + timedelta(seconds=draw.randrange(200 * 365 * 86_400)) for _ in range(3)]
    return [datetime(2024, 2, 29, 13, 5, 9, tzinfo=UTC), *drawn]


def numbers(draw: Random) -> list[float]:
    return [-1234567.891, 1234.5, draw.uniform(-1e9, 1e9), draw.randrange(10**15), 0.0005, 1e21]


def milliseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


def by_node(cases: Sequence[tuple[str, object]]) -> list[str]:
    asked = [
        (tag, {"date": milliseconds(value)} if isinstance(value, datetime) else value)
        for tag, value in cases
    ]
    command = ["node", str(HERE / "locales.js")]
    found = subprocess.run(
        command, input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    told = json.loads(found.stdout)
    if told["source"] != TABLE["source"]:
        pytest.skip(f"this node has {told['source']}, and the table {TABLE['source']}")
    return list(told["texts"])


@pytest.mark.servers
def test_every_locale_writes_numbers_and_dates_as_node_does() -> None:
    draw = Random(7)
    cases = [(tag, value) for tag in TAGS for value in [*moments(draw), *numbers(draw)]]
    template = Engine().compile("{{{toLocale v tag}}}")
    ours = [template.render({"v": value, "tag": tag}) for tag, value in cases]
    wrong = [
        (*case, got, expected)
        for case, got, expected in zip(cases, ours, by_node(cases), strict=True)
        if got != expected
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("zh-TW", "2024/2/29\u2009下午1:05:09"),
        ("fa-IR-u-nu-latn", "1402/12/10, 13:05:09"),
        ("th-TH", "29/2/2567 13:05:09"),
        ("fi-FI", "29.2.2024 klo 13.05.09"),
        ("iw-IL", "29.2.2024, 13:05:09"),
        ("en-XX", "2/29/2024, 1:05:09 PM"),
        ("xx", "2/29/2024, 1:05:09 PM"),
    ],
)
def test_dates_are_written_in_the_calendar_and_order_of_a_country(tag: str, text: str) -> None:
    at = datetime(2024, 2, 29, 13, 5, 9, tzinfo=UTC)
    assert Engine().compile("{{{toLocale at tag}}}").render({"at": at, "tag": tag}) == text
