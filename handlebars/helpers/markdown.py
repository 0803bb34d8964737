"""markdown: CommonMark with tables and struck text to HTML, in which nothing can run.

markdown-it-py writes it; nh3 takes out of the HTML what a message must not hold: scripts, handlers
of events, addresses that run.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from carillon.handlebars.helpers.arguments import ABSENT
from carillon.handlebars.runtime.registry import Helper, Invocation, ReadsContext

#: Making a parser takes as long as some hundred calls of other helpers.
_PARSER = 500
_PER_STEP = 8
_LONGEST = 32 * 1024
_MOST_BRACKETS = 1000  # each that opens may be looked for an end to the end of the text
_ATTRIBUTES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "*": frozenset({"align", "class", "dir", "id", "lang", "style", "title"}),
        "a": frozenset({"href", "target"}),
        "img": frozenset({"alt", "height", "src", "width"}),
        "td": frozenset({"bgcolor", "colspan", "rowspan", "valign", "width", "height"}),
        "th": frozenset({"bgcolor", "colspan", "rowspan", "valign", "width", "height"}),
        "table": frozenset({"bgcolor", "border", "cellpadding", "cellspacing", "width"}),
        "ol": frozenset({"start"}),
    }
)
_SCHEMES = frozenset({"http", "https", "mailto", "tel", "sms", "cid"})


def markdown(call: Invocation, text: object = ABSENT, *_: object) -> object:
    """Write Markdown as HTML: the body of the block, or the text that it is given."""
    if not isinstance(text, str):
        around = call.this if isinstance(call.this, dict) else {}
        given = text if isinstance(text, dict) else {}
        text = call.fn({**around, **given, **call.hash})
    if len(text) > _LONGEST:
        raise ValueError(f"it takes at most {_LONGEST:,} characters")
    if text.count("[") > _MOST_BRACKETS:
        raise ValueError(f"it takes at most {_MOST_BRACKETS:,} brackets that open")
    call.charge(_PARSER + len(text) // _PER_STEP)
    return _clean(_written(text, raw=call.hash.get("html") is not False))


def _written(text: str, *, raw: bool) -> str:
    from markdown_it import MarkdownIt  # noqa: PLC0415

    options = {"html": raw, "breaks": True, "maxNesting": 20}
    parser = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    # Remarkable, which the reference has, writes <del> and no slash in empty tags.
    html: str = parser.render(text)
    return html.replace("<s>", "<del>").replace("</s>", "</del>")


def _clean(html: str) -> str:
    import nh3  # noqa: PLC0415

    return nh3.clean(
        html,
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        url_schemes=set(_SCHEMES),
        link_rel=None,
    )


MARKDOWN: Mapping[str, Helper] = MappingProxyType({"markdown": ReadsContext(markdown)})
