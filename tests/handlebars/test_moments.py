"""year, date and moment: what helper-date and moment.js 2 write, as recorded from them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from carillon.handlebars import Engine, HelperFailed
from carillon.handlebars.helpers.moments import moment_helpers

NOW = datetime(2026, 11, 28, 22, 35, 36, tzinfo=UTC)
D = datetime(2024, 2, 29, 13, 5, 9, tzinfo=UTC)
CONTEXT: dict[str, object] = {
    "D": D,
    "d": "2024-02-29T13:05:09Z",
    "s": "2024-02-29",
    "n": 1709211909000,
    "nul": None,
    "f": "YYYY",
}
EVERY_TOKEN = (
    "M Mo MM MMM MMMM Q Qo D Do DD DDD DDDo DDDD d do dd ddd dddd e E w wo ww W Wo WW YY YYYY"
    " YYYYYY y N gg gggg GG GGGG A a H HH h hh k kk m mm s ss S SS SSS SSSS X x Z ZZ z"
)
EVERY_TEXT = (
    "2 2nd 02 Feb February 1 1st 29 29th 29 60 60th 060 4 4th Th Thu Thursday 4 4 9 9th 09 9 9th 09"
    " 24 2024 +002024 2024 AD 24 2024 24 2024 PM pm 13 13 1 01 13 13 5 05 9 09 0 00 000 0000"
    " 1709211909 1709211909000 +00:00 +0000 "
)


def render(template: str) -> str:
    return Engine(moment_helpers(lambda: NOW)).compile(template).render(CONTEXT)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{year}}", "2026"),
        ("{{#year}}x{{/year}}", "2026"),
        ("{{date}}", "November 28, 2026"),
        ("{{moment}}", "November 28, 2026"),
        ("{{date undefined}}", "November 28, 2026"),
        ("{{date 'YYYY'}}", "2026"),
        ("{{moment d 'YYYY-MM-DD'}}", "2024-02-29"),
        ("{{date D 'DD/MM/YYYY HH:mm'}}", "29/02/2024 13:05"),
        ("{{date n 'DD/MM/YYYY HH:mm'}}", "29/02/2024 13:05"),
        ("{{date s 'DD/MM/YYYY'}}", "29/02/2024"),
        ("{{date D}}", "2024-02-29T13:05:09+00:00"),
        ("{{date nul 'YYYY'}}", "Invalid date"),
        ("{{date undef 'YYYY'}}", "2026"),
        ("{{date nul 'YYYY' datejs=false}}", "1970"),
        ("{{date undef 'YYYY' datejs=false}}", "Invalid date"),
        ("{{date D format=f}}", "2024"),
        ("{{moment d format=f}}", "2024"),
        ("{{date D 'LLLL'}}", "Thursday, February 29, 2024 1:05 PM"),
        ("{{date D 'L LT LTS ll lll'}}",
         "02/29/2024 1:05 PM 1:05:09 PM Feb 29, 2024 Feb 29, 2024 1:05 PM"),
        ("{{date D 'llll'}}", "Thu, Feb 29, 2024 1:05 PM"),
        ("{{date D '[a] YYYY [\\\\d]'}}", "a 2024 \\\\d"),
        ("{{date d 'dddd D MMMM YYYY' lang='it' datejs=false}}", "giovedì 29 febbraio 2024"),
        ("{{date D 'LL' lang='de'}}", "29. Februar 2024"),
        ("{{date D 'LL' lang='it-IT'}}", "29 febbraio 2024"),
        ("{{date D 'D MMMM, MMMM' lang='ru'}}", "29 февраля, февраля"),
        ("{{date D 'MMMM' lang='ru'}}", "февраль"),
        ("{{date D 'LLL' lang='ar'}}", "٢٩ فبراير ٢٠٢٤ ١٣:٠٥"),  # noqa: RUF001
        ("{{date D 'MMMM' lang='no-such'}}", "February"),
        (f"{{{{date D '{EVERY_TOKEN}'}}}}", EVERY_TEXT),
    ],
)  # fmt: skip
def test_dates_are_written_as_moment_writes_them(template: str, text: str) -> None:
    assert render(template) == text


@pytest.mark.parametrize(
    ("words", "day"),
    [
        ("now", "2026-11-28 22:35"),
        ("today", "2026-11-28 22:35"),
        ("Tomorrow", "2026-11-29 22:35"),
        ("yesterday", "2026-11-27 22:35"),
        ("5 days ago", "2026-11-23 22:35"),
        ("a week ago", "2026-11-21 22:35"),
        ("2 months ago", "2026-09-28 22:35"),
        ("3 years ago", "2023-11-28 22:35"),
        ("in 2 days", "2026-11-30 22:35"),
        ("2 days from now", "2026-11-30 22:35"),
        ("in 1 hour", "2026-11-28 23:35"),
        ("next month", "2026-12-28 22:35"),
        ("last year", "2025-11-28 22:35"),
        ("2024-02-29T13:05:09+02:00", "2024-02-29 11:05"),
        ("2024-02-29 13:05", "2024-02-29 13:05"),
        ("Feb 29, 2024", "2024-02-29 00:00"),
        ("02/28/2024", "2024-02-28 00:00"),
    ],
)
def test_words_are_read_as_date_js_reads_them(words: str, day: str) -> None:
    assert render(f"{{{{date '{words}' 'YYYY-MM-DD HH:mm'}}}}") == day


@pytest.mark.parametrize("words", ["29/02/2024", "garbage", "20240229", "", "in 5 days ago", "0"])
def test_what_is_no_date_fails_and_never_tells_today(words: str) -> None:
    with pytest.raises(HelperFailed, match="no date that it understands"):
        render(f"{{{{date '{words}' 'YYYY'}}}}")


def test_other_methods_of_moment_fail() -> None:
    with pytest.raises(HelperFailed, match="`fromNow=` is not offered"):
        render("{{date D fromNow=true}}")
