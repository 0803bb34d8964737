"""Logging: gives no text, for a message has no console. `_inspect` alone shows what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from carillon.messages.templates.helpers.arguments import ABSENT
from carillon.messages.templates.helpers.builtin import log
from carillon.messages.templates.json_text import stringify
from carillon.messages.templates.registry import Helper, Invocation
from carillon.messages.templates.values import UNDEFINED, is_true


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
