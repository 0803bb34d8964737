"""Blocks and types: frame, noop, withHash, option, typeOf."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from carillon.handlebars.helpers.arguments import ABSENT, kind, own_options, refuse
from carillon.handlebars.helpers.builtin import log
from carillon.handlebars.helpers.lookups import get
from carillon.handlebars.runtime.json_text import stringify
from carillon.handlebars.runtime.registry import Helper, Invocation, ReadsContext
from carillon.handlebars.runtime.values import UNDEFINED, is_true


def frame(call: Invocation, context: object = ABSENT, *surplus: object) -> object:
    """Render the block with hash arguments as `@` data."""
    refuse(surplus)
    if context is ABSENT:
        return call.fn(call.this, call.frame(**call.hash))
    if not isinstance(context, dict):
        raise TypeError("it takes an object")
    return call.fn(call.this, {**context, "_parent": context, **call.hash})


def option(call: Invocation, path: object = ABSENT, values: object = ABSENT, *_: object) -> object:
    """Look a path up in hash arguments, or in `options` of the context."""
    return get(call, own_options(call, values), path)


def noop(call: Invocation, *surplus: object) -> object:
    """Render the block."""
    refuse(surplus)
    return call.fn(call.this)


def type_of(_call: Invocation, value: object = ABSENT, *_: object) -> object:
    """Name the type: string, number, boolean, object, array, date, null, undefined."""
    return kind(value)


def with_hash(call: Invocation, *surplus: object) -> object:
    """Render the block with hash arguments as its context."""
    refuse(surplus)
    return call.fn(dict(call.hash)) if call.hash else call.inverse(call.this)


MISC: Mapping[str, Helper] = MappingProxyType(
    {
        "frame": frame,
        "option": ReadsContext(option),
        "noop": noop,
        "typeOf": type_of,
        "withHash": with_hash,
    }
)


_FILES = "it reads files of the server"
_OTHER_SITE = "it shows a page of another site, which messages can't"

#: The families, the names of each, and why they are left out.
LEFT_OUT_FAMILIES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("code", ("embed",), _FILES),
    ("code", ("gist", "jsfiddle"), _OTHER_SITE),
    ("fs", ("fileSize", "read", "readdir"), _FILES),
    ("markdown", ("md",), _FILES),
    ("math", ("random",), "a message that is sent again must come out the same"),
    ("path", ("absolute", "resolve"), "it looks at folders of the server"),
)
LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {name: reason for _, names, reason in LEFT_OUT_FAMILIES for name in names}
)


def inspect(call: Invocation, value: object = ABSENT, *_: object) -> object:
    """Write a value as JSON with an indent, for `type="html"`, "md" or as it is."""
    if value is ABSENT:
        raise TypeError("it takes a value")
    text = stringify(value, "  ", call.charge)
    wanted = call.hash.get("type", UNDEFINED)
    kind = call.key(wanted).removeprefix(".") if is_true(wanted) else "html"
    if kind == "md":
        return f"\n```json\n{_or_undefined(text)}\n```\n"
    if kind == "html":
        code = f"<pre><code>\n{_or_undefined(text)}</code></pre>"
        return f'<div class="highlight highlight-json">\n{code}</div>'
    return UNDEFINED if text is None else text


def _or_undefined(text: str | None) -> str:
    return "undefined" if text is None else text


_SILENT = ("log", "ok", "success", "info", "warning", "warn", "error", "danger", "bold", "_debug")
LOGGING: Mapping[str, Helper] = MappingProxyType(
    dict.fromkeys(_SILENT, log) | {"_inspect": inspect}
)
