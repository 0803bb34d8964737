"""JSON at the edge: what is let in, and what would only raise later, inside a worker."""

from __future__ import annotations

import gc
import json
import math
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pydantic_core import from_json
from quart import Request

from api.errors import UnsupportedMediaType
from messages.errors import BadCommand

MOST_LEVELS: Final = 200
"""The parser's own bound, but that it lets one empty container more pass."""

# Only a body with one of these can hold a forbidden key (which may be written with escapes), a
# number that overflows, or an empty container too deep. All are searched for at C's pace: a walk
# over the values of one large body would hold up everybody for seconds.
_KEYS: Final = re.compile(rb"__proto__|constructor|\\u00[3-7]")
_NUMBERS: Final = re.compile(rb"[0-9][eE]\+?[0-9]{3}|[0-9]{309}")
_SPACED_EMPTY: Final = re.compile(rb"\[\s+\]|\{\s+\}")


async def json_body(request: Request) -> object:
    """The parsed body of a request.

    Raises:
        UnsupportedMediaType: it is no application/json, or packed.
        BadCommand: it is not JSON, or JSON that nobody should send.
        RequestEntityTooLarge: it is longer than the configured limit.
    """
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaType("The body must have no Content-Encoding")
    data = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    return parse_json(data.removeprefix(BOM_UTF8))


def parse_json(data: bytes) -> object:
    """The value of a JSON text in UTF-8. Raises BadCommand."""
    with _collecting_nothing():
        try:
            value: object = from_json(data, allow_inf_nan=False)
        except ValueError as error:
            raise BadCommand(f"The body is not valid JSON: {error}") from None
        _refuse_depth(data)
        has_keys, has_numbers = _KEYS.search(data), _NUMBERS.search(data)
        if has_keys or has_numbers:
            json.loads(
                data.decode(),
                object_hook=_refuse_keys if has_keys else None,
                parse_float=_refuse_infinity if has_numbers else None,
            )
    return value


@contextmanager
def _collecting_nothing() -> Iterator[None]:
    """While a body becomes objects all of them live: to look for dead ones takes most of the time.

    A megabyte of empty objects is judged in 60 ms in place of 400.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _refuse_depth(data: bytes) -> None:
    """Refuse an empty container on the level below the last, which the parser lets pass."""
    filled = data.replace(b"[]", b"[0]").replace(b"{}", b"[0]")
    filled, spaced = _SPACED_EMPTY.subn(b"[0]", filled)
    if spaced or len(filled) != len(data):
        try:
            from_json(filled)
        except ValueError:
            raise BadCommand(f"The body is nested deeper than {MOST_LEVELS} levels") from None


def _refuse_infinity(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise BadCommand("The body is not valid JSON: a number is too large")
    return value


def _refuse_keys(node: dict[str, object]) -> dict[str, object]:
    if "__proto__" in node:
        raise BadCommand("The body has the forbidden key __proto__")
    constructor = node.get("constructor")
    if isinstance(constructor, dict) and "prototype" in constructor:
        raise BadCommand("The body has the forbidden key constructor.prototype")
    return node
