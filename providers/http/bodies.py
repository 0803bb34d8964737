"""The two bodies of a mail, each of which is made of the other where a template has but one."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Final

_BLOCKS: Final = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "dd",
        "div",
        "dl",
        "dt",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "tr",
        "ul",
    ]
)
_HIDDEN: Final = frozenset({"head", "script", "style", "template", "title"})
_APART: Final = frozenset({"td", "th"})
_SPACES: Final = re.compile(r"[ \t\r\f\v\n]+")
_BLANK: Final = re.compile(r"\n{3,}")


def html_of(text: str) -> str:
    """A plain text as HTML that shows the same lines."""
    return html.escape(text, quote=False).replace("\n", "<br>\n")


def text_of(document: str) -> str:
    """The words of HTML as lines: blocks apart, links with their addresses, nothing hidden."""
    reader = _Reader()
    reader.feed(document)
    reader.close()
    lines = (" ".join(line.split(" ")).strip() for line in "".join(reader.words).split("\n"))
    return _BLANK.sub("\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._hidden = 0
        self._link = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag in _BLOCKS:
            self.words.append("\n\n" if tag == "p" else "\n")
        elif tag in _APART:
            self.words.append(" ")
        elif tag == "a":
            self._link = dict(attrs).get("href") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag == "a":
            self._end_link()
        elif tag in _BLOCKS:
            self.words.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(_SPACES.sub(" ", data))

    def _end_link(self) -> None:
        link, self._link = self._link, ""
        if link.startswith(("http://", "https://")) and self.words[-1:] != [link]:
            self.words.append(f" ({link})")
