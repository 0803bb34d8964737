"""JSON at the edge: what is let in, and what would only raise later, inside a worker."""

from __future__ import annotations

import math
import re
from typing import Final

from pydantic_core import from_json
from quart import Request, g

from api.errors import UnsupportedMediaType
from messages.errors import BadCommand

MOST_LEVELS: Final = 200
"""The parser's own bound, but that it lets one empty container more pass."""

# Only a body with one of these can hold a forbidden key, an infinity or an empty container too
# deep: the keys may be written with escapes, and 1e999 overflows.
_SUSPECT: Final = re.compile(
    rb"__proto__|constructor|\\u00[3-7]|[0-9][eE]\+?[0-9]{3}|[0-9]{309}|\[\s*\]|\{\s*\}"
)


async def json_body(request: Request) -> object:
    """The parsed body of a request.

    Raises:
        UnsupportedMediaType: it is no application/json.
        BadCommand: it is not JSON, or JSON that nobody should send.
        RequestEntityTooLarge: it is longer than the configured limit.
    """
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    data = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    g.body_was_read = True
    return parse_json(data)


def parse_json(data: bytes) -> object:
    """The value of a JSON text in UTF-8. Raises BadCommand."""
    try:
        value: object = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise BadCommand(f"The body is not valid JSON: {error}") from None
    if _SUSPECT.search(data):
        _refuse_hostile(value)
    return value


def _refuse_hostile(value: object) -> None:
    left = [(value, 1)]
    while left:
        node, level = left.pop()
        if isinstance(node, dict):
            _refuse_keys(node)
            children = list(node.values())
        elif isinstance(node, list):
            children = node
        else:
            if isinstance(node, float) and not math.isfinite(node):
                raise BadCommand("The body is not valid JSON: a number is too large")
            continue
        if level > MOST_LEVELS:
            raise BadCommand(f"The body is nested deeper than {MOST_LEVELS} levels")
        left += [(child, level + 1) for child in children]


def _refuse_keys(node: dict[str, object]) -> None:
    if "__proto__" in node:
        raise BadCommand("The body has the forbidden key __proto__")
    constructor = node.get("constructor")
    if isinstance(constructor, dict) and "prototype" in constructor:
        raise BadCommand("The body has the forbidden key constructor.prototype")
