"""markdown: Markdown to HTML, without anything that runs."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from carillon.handlebars import Engine, HelperFailed, TooMuchTime

CONTEXT: dict[str, object] = {"user": {"name": "Ada"}, "t": "# T"}


def render(template: str, **values: object) -> str:
    return Engine().compile(template).render(CONTEXT | values)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{#markdown}}## Hi {{../user.name}}{{/markdown}}", "<h2>Hi Ada</h2>\n"),
        ("{{#markdown}}{{user.name}}{{/markdown}}", "<p>Ada</p>\n"),
        ("{{#markdown}}a\nb{{/markdown}}", "<p>a<br>\nb</p>\n"),
        ("{{#markdown}}\n* a\n* b\n{{/markdown}}", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
        ("{{#markdown}}~~x~~{{/markdown}}", "<p><del>x</del></p>\n"),
        ("{{{markdown t}}}", "<h1>T</h1>\n"),
        ("{{markdown t}}", "&lt;h1&gt;T&lt;/h1&gt;\n"),
        ("{{#markdown html=false}}<b>x</b>{{/markdown}}", "<p>&lt;b&gt;x&lt;/b&gt;</p>\n"),
        ("{{#markdown}}<b style=\"color:red\">x</b>{{/markdown}}",
         '<p><b style="color:red">x</b></p>\n'),
    ],
)  # fmt: skip
def test_markdown_becomes_html(template: str, text: str) -> None:
    assert render(template) == text


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '<img src=x onerror="alert(1)">',
        "[x](javascript:alert(1))",
        '<a href="javascript:alert(1)">x</a>',
        '<a href="JaVaScRiPt:alert(1)">x</a>',
        '<iframe src="https://evil.example"></iframe>',
        "<svg><script>alert(1)</script></svg>",
        "![x](data:text/html;base64,PHNjcmlwdD4=)",
    ],
)
def test_nothing_that_runs_is_left(hostile: str) -> None:
    made = render("{{#markdown}}{{{x}}}{{/markdown}}", x=hostile).lower()
    assert "<script" not in made
    assert "onerror=" not in made
    assert 'href="javascript' not in made
    assert "<iframe" not in made
    assert 'src="data:' not in made


@pytest.mark.parametrize("unit", ["*a", "[", "![", "> ", "`", "<", "_a_ ", "* ", "|", "[a]("])
def test_hostile_markdown_takes_no_long_time(unit: str) -> None:
    start = time.process_time()
    with suppress(TooMuchTime, HelperFailed):
        render("{{#markdown}}{{{x}}}{{/markdown}}", x=unit * (32_000 // len(unit)))
    assert time.process_time() - start < 2


@pytest.mark.parametrize("text", ["[" * 1001, "a" * 33_000])
def test_too_much_of_it_is_refused(text: str) -> None:
    with pytest.raises(HelperFailed, match="at most"):
        render("{{#markdown}}{{{x}}}{{/markdown}}", x=text)
