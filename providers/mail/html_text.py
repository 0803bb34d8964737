"""What an HTML mail says to a reader that shows text only.

nh3 takes apart what HTML there is, as browsers do and in time that grows with its length, and
leaves a few elements in a form that one pattern reads.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Final

import nh3

_BREAKS: Final = {"br": "\n", "tr": "\n", "li": "\n- ", "hr": "\n---\n", "td": " ", "th": " "}
_BLOCKS: Final = frozenset(
    {"p", "div", "table", "ul", "ol", "blockquote", "pre", "h1", "h2", "h3", "h4", "h5", "h6"}
)
_KEPT: Final = {*_BREAKS, *_BLOCKS, "a", "img"}
_ATTRIBUTES: Final = {"*": set[str](), "a": {"href"}, "img": {"alt"}}
_DROPPED: Final = {"script", "style", "title", "template", "noscript"}
_TAG: Final = re.compile(r'<(/?)([a-z0-9]+)(?: (?:href|alt)="([^"]*)")?>')
_SPACES: Final = re.compile(r"[ \t\f\r\n]{2,}|[\t\f\r\n]")
_MANY_BREAKS: Final = re.compile(r"\n{3,}")


def text_of(html: str) -> str:
    """The text of an HTML document, paragraphs apart, links with their addresses behind them."""
    clean = nh3.clean(
        html.encode(errors="replace").decode(),  # half of a surrogate pair is no text for it
        tags=_KEPT,
        attributes=_ATTRIBUTES,
        clean_content_tags=_DROPPED,
        link_rel=None,
        url_schemes={"http", "https", "mailto", "tel"},
    )
    text = "".join(_Words(clean).parts)
    text = "\n".join(map(str.strip, text.split("\n")))
    return _MANY_BREAKS.sub("\n\n", text).strip()


class _Words:
    """The parts of a text, in the order in which they are read."""

    def __init__(self, clean: str) -> None:
        self.parts: list[str] = []
        self._link: str | None = None
        self._since = 0
        end = 0
        for tag in _TAG.finditer(clean):
            self._say(clean[end : tag.start()])
            self._meet(tag[2], tag[3] or "", closes=bool(tag[1]))
            end = tag.end()
        self._say(clean[end:])

    def _say(self, words: str) -> None:
        if words:
            self.parts.append(_SPACES.sub(" ", unescape(words)))

    def _meet(self, name: str, attribute: str, *, closes: bool) -> None:
        if name in _BLOCKS:
            self.parts.append("\n\n")
        elif name == "a":
            self._end_link()
            self._link, self._since = (None if closes else unescape(attribute)), len(self.parts)
        elif name == "img":
            self._say(attribute)
        elif not closes:
            self.parts.append(_BREAKS.get(name, ""))

    def _end_link(self) -> None:
        """The address of a link, unless the reader has just read it."""
        if not self._link:
            return
        shown = "".join(self.parts[self._since :]).strip()
        if shown and shown != self._link.removeprefix("mailto:"):
            self.parts.append(f" ({self._link})")
        self._link = None
