"""A mail's other body, made of the one that it has."""

from __future__ import annotations

import pytest

from carillon.providers.http.bodies import html_of, text_of


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One &amp; two</p>\n<p>three<br>four</p>", "One & two\n\nthree\nfour"),
        ("<ul><li>a<li>b</ul>", "a\nb"),
        ("<table><tr><td>a<td>b<tr><td>c</table>", "a b\nc"),
        ('<a href="https://h/x?a=1&amp;b">here</a>.', "here (https://h/x?a=1&b)."),
        ('<a href="https://h/x">https://h/x</a>', "https://h/x"),
        ('<a href="javascript:x">here</a>', "here"),
        ("<style>p{}</style><script>x</script><title>t</title>a", "a"),
        ("a  \n   b\t c", "a b c"),
        ("no html < at all & fine", "no html < at all & fine"),
        ("", ""),
    ],
)
def test_html_is_read_as_lines(html: str, text: str) -> None:
    assert text_of(html) == text


def test_a_text_is_the_same_lines_in_html() -> None:
    assert html_of("a < b & 'c'\nd") == "a &lt; b &amp; 'c'<br>\nd"
    assert text_of(html_of("a < b & 'c'\nd")) == "a < b & 'c'\nd"
