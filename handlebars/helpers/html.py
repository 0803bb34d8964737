"""HTML: attr, css, js, sanitize, ul, ol, thumbnailImage. Their output needs `{{{…}}}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType

from carillon.handlebars.helpers.arguments import ABSENT, listed, refuse
from carillon.handlebars.runtime.registry import Helper, Invocation, ReadsContext
from carillon.handlebars.runtime.values import JS_SPACE, UNDEFINED, is_nothing, is_true, keys


class _State(Enum):
    TEXT = auto()
    TAG = auto()
    COMMENT = auto()


class _Stripper:
    def __init__(self) -> None:
        self.out: list[str] = []
        self._state = _State.TEXT
        self._tag: list[str] = []
        self._depth = 0
        self._quote = ""

    def feed(self, char: str) -> None:
        if self._state is _State.TEXT:
            if char == "<":
                self._state = _State.TAG
                self._tag.append(char)
            else:
                self.out.append(char)
        elif self._state is _State.TAG:
            self._in_tag(char)
        else:
            self._in_comment(char)

    def _in_tag(self, char: str) -> None:
        if char in "<>":
            if not self._quote:
                self._bracket(char)
        elif char in " \n" and self._tag == ["<"]:
            # A `<` before a space opens no tag.
            self._leave()
            self.out.append("< ")
        else:
            if char in "\"'":
                self._quote = "" if char == self._quote else self._quote or char
            elif char == "-" and self._tag == ["<", "!", "-"]:
                self._state = _State.COMMENT
            self._tag.append(char)

    def _bracket(self, char: str) -> None:
        if char == "<":
            self._depth += 1
        elif self._depth:
            self._depth -= 1
        else:
            self._leave()

    def _in_comment(self, char: str) -> None:
        if char != ">":
            self._tag.append(char)
            return
        if self._tag[-2:] == ["-", "-"]:
            self._state = _State.TEXT
        self._tag.clear()

    def _leave(self) -> None:
        self._state = _State.TEXT
        self._tag.clear()


def strip_tags(text: str) -> str:
    """Return `text` without its tags."""
    if "<" not in text:
        return text
    stripper = _Stripper()
    for char in text:
        stripper.feed(char)
    return "".join(stripper.out)


_TAG_SCAN = 4
_FIGURE = 24
_ELSEWHERE = re.compile("^//|://")


def attr(call: Invocation, *_: object) -> object:
    """Write hash arguments as attributes of a tag."""
    call.charge(1)
    text = attributes(call, call.hash)
    return f" {text}" if text.strip(JS_SPACE) else ""


def attributes(call: Invocation, values: Mapping[str, object]) -> str:
    """Write attributes, each without the quotes that its value has around it."""
    return " ".join([f'{key}="{_unquoted(call.key(values[key]))}"' for key in keys(dict(values))])


def _unquoted(text: str) -> str:
    text = text[1:] if text[:1] in {'"', "'"} else text
    return text[:-1] if text[-1:] in {'"', "'"} else text


def css(call: Invocation, sheets: object = ABSENT, *_: object) -> object:
    """Link style sheets: those of a list, or that of `href=`."""
    assets = call.member(_context_options(call), "assets")
    href = call.hash.get("href")
    listed_sheets = _texts(call, href if is_true(href) else sheets)
    call.charge(len(listed_sheets))
    return "\n".join(_sheet(sheet, assets) for sheet in listed_sheets)


def _sheet(sheet: str, assets: object) -> str:
    path = sheet
    if isinstance(assets, str) and assets and not _ELSEWHERE.search(sheet):
        path = f"{assets.rstrip('/')}/{sheet.removeprefix('/')}"
    kind = "stylesheet/less" if sheet.endswith(".less") else "stylesheet"
    return f'<link type="text/css" rel="{kind}" href="{_quoted(path)}">'


def js(call: Invocation, scripts: object = ABSENT, *_: object) -> object:
    """Load scripts: those of a list, or one with hash arguments as attributes."""
    if scripts is ABSENT:
        written = attributes(call, call.hash)
        return f"<script{' ' if written else ''}{written}></script>"
    sources = _texts(call, scripts)
    call.charge(len(sources))
    return "\n".join(_script(source) for source in sources)


def _script(source: str) -> str:
    kind = ' type="text/coffeescript"' if source.endswith(".coffee") else ""
    return f'<script{kind} src="{_quoted(source)}"></script>'


def _texts(call: Invocation, value: object) -> list[str]:
    if value is ABSENT or is_nothing(value):
        return []
    return [call.text(one) for one in (value if isinstance(value, list) else [value])]


def _quoted(text: str) -> str:
    return text.replace('"', "&quot;")


def _context_options(call: Invocation) -> object:
    """The `options` of the context."""
    return call.member(call.this, "options") if isinstance(call.this, dict) else UNDEFINED


def sanitize(call: Invocation, text: object = ABSENT, *_: object) -> object:
    """Take the tags out of a text."""
    if not isinstance(text, str):
        return ""
    call.charge(len(text) // _TAG_SCAN)
    return strip_tags(text).strip(JS_SPACE)


def ul(call: Invocation, items: object = ABSENT, *surplus: object) -> object:
    """Make a list of the items; the block renders those that are not text."""
    refuse(surplus)
    return _list(call, "ul", items)


def ol(call: Invocation, items: object = ABSENT, *surplus: object) -> object:
    """Make a numbered list of the items; the block renders those that are not text."""
    refuse(surplus)
    return _list(call, "ol", items)


def _list(call: Invocation, tag: str, items: object) -> str:
    found = listed(items)
    call.charge(len(found))
    texts = [item if isinstance(item, str) else call.fn(item) for item in found]
    rows = "\n".join(f"<li>{text}</li>" for text in texts)
    return f"<{tag} {attributes(call, call.hash)}>{rows}</{tag}>"


def thumbnail_image(call: Invocation, image: object = ABSENT, *_: object) -> object:
    """Make a figure of {id, alt, thumbnail, full, size, caption, classes}."""
    call.charge(_FIGURE)

    def member(*names: str) -> object:
        value = image
        for name in names:
            value = call.member(value, name)
        return value

    if not isinstance(member("size"), dict):
        raise TypeError("it takes an object with a `size` that has a width and a height")
    size = {"width": member("size", "width"), "height": member("size", "height")}
    picture = {"alt": member("alt"), "src": member("thumbnail"), **size}
    figure: dict[str, object] = {"id": f"image-{call.key(member('id'))}"}
    link: dict[str, object] = {"href": member("full"), "rel": "thumbnail"}
    for part, name in ((picture, "image"), (figure, "figure"), (link, "link")):
        classes = member("classes", name) if is_true(member("classes")) else UNDEFINED
        if is_true(classes):
            part["class"] = " ".join([call.text(one) for one in listed(classes)])
    lines = f"<img {attributes(call, picture)}>\n"
    if is_true(member("full")):
        lines = f"<a {attributes(call, link)}>\n{lines}</a>\n"
    caption = member("caption")
    if is_true(caption):
        lines += f"<figcaption>{call.text(caption)}</figcaption>\n"
    return f"<figure {attributes(call, figure)}>\n{lines}</figure>"


HTML: Mapping[str, Helper] = MappingProxyType(
    {
        "attr": attr,
        "css": ReadsContext(css),
        "js": js,
        "sanitize": sanitize,
        "ul": ul,
        "ol": ol,
        "thumbnailImage": thumbnail_image,
    }
)
