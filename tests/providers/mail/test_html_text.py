"""What is read of an HTML mail where only text is shown."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.providers.mail.html_text import text_of
from tests.timing import quickest


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("plain", "plain"),
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("One<br>Two<br/>\n Three", "One\nTwo\nThree"),
        ("<ul><li>One</li><li>Two</li></ul>", "- One\n- Two"),
        ("<table><tr><td>A</td><td>7</td></tr><tr><td>B</td></tr></table>", "A 7\nB"),
        ("<a href='https://x.it/?a=1&amp;b=2'>Here</a>", "Here (https://x.it/?a=1&b=2)"),
        ("<a href='https://x.it'>https://x.it</a>", "https://x.it"),
        ("<a href='mailto:a@x.it'>a@x.it</a>", "a@x.it"),
        ("<a href='javascript:alert(1)'>Here</a>", "Here"),
        (
            "<a href='https://x.it'><img src='cid:x' alt='Logo &gt; 1'></a>",
            "Logo > 1 (https://x.it)",
        ),
        ("a &lt;b&gt; &amp;amp; c&nbsp;d", "a <b> &amp; c\u00a0d"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("<title>T</title><style>p{}</style><body>Hi<script>x()</script></body>", "Hi"),
        ("<!-- no --><!doctype html>Yes<p title='>'>!</p>", "Yes\n\n!"),
        ("\u00e9 \U0001f600", "\u00e9 \U0001f600"),
        ("<p>a\ud800b</p>", "a?b"),
    ],
)
def test_html_becomes_text(html: str, text: str) -> None:
    assert text_of(html) == text


@given(st.text())
def test_any_text_has_one(html: str) -> None:
    assert "<p>" not in text_of(f"<p>{html}")


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", ["<a href=x>", "<p>", "<div", "<!--", "&amp;", "<a href='https://x.it'>a</a>", "<" * 9]
)
def test_hostile_html_takes_time_that_grows_with_its_length(piece: str) -> None:
    html = piece * (100_000 // len(piece))
    assert quickest(partial(text_of, html), 1.0) < 1.0
