"""Escaping for the place of a text: HTML as Handlebars.js does it, or the inside of JSON text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Escaping = Literal["html", "json", "none"]
"""What `{{…}}` escapes: HTML's seven characters, those of a JSON string, or nothing."""

_UNSAFE_IN_HTML = re.compile("[&<>\"'`=]")
_UNSAFE_IN_JSON = re.compile(r'["\\\x00-\x1f]')


@dataclass(frozen=True, slots=True)
class Escaper:
    """How to escape. `find_unsafe` gives None for what needs none, which most texts do.

    What a helper marks as safe is safe where a text `trusts` it.
    """

    find_unsafe: Callable[[str], object]
    escape: Callable[[str], str]
    trusts: bool


def _escape_html(text: str) -> str:
    # Replacing one by one beats a callback for each hit; & must come first.
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = text.replace("=", "&#x3D;").replace('"', "&quot;")
    return text.replace("'", "&#x27;").replace("`", "&#x60;")


def _escape_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


_HTML = Escaper(_UNSAFE_IN_HTML.search, _escape_html, trusts=True)
_JSON = Escaper(_UNSAFE_IN_JSON.search, _escape_json, trusts=False)


def escaper(escaping: Escaping) -> Escaper | None:
    """How `{{…}}` is escaped; None where it is not."""
    return {"html": _HTML, "json": _JSON, "none": None}[escaping]
