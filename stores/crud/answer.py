"""JSON that the CRUD Service answers, parsed so that neither memory nor the event loop suffer.

A large list is parsed a document at a time: between two of them the interpreter is free for the
event loop, which no thread gets back from a parser in the middle of its text.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from pydantic_core import from_json

from carillon.messages.model import JsonValue

WHOLE_BYTES: Final = 512 * 1024
"""Up to here a text is parsed in one piece: a few milliseconds."""
DOCUMENT_BYTES: Final = 4 * 1024 * 1024
"""What one document holds at most; more would keep the interpreter for too long."""
DOCUMENT_VALUES: Final = 50_000
"""Values in one document at most, by the commas and brackets before them."""
MOST_VALUES: Final = 500_000
"""The same in one answer: each takes some hundred bytes of memory."""

Text: TypeAlias = bytes | bytearray

_DEEPEST: Final = 255
"""Brackets within one another: the parser takes fewer."""

# No real answer has more white space, and walking over megabytes of it holds the interpreter.
_OPENING: Final = re.compile(rb"\s{0,999}\[\s{0,999}")
_BETWEEN: Final = re.compile(rb"\s{0,999}(?:,\s{0,999}(?=\{)|(?P<end>\]\s{0,999}\Z))")
_EMPTY: Final = re.compile(rb"\s{0,999}\[\s{0,999}\]\s{0,999}\Z")
# To the next bracket outside of a text, without a way back: no text makes it slow.
_BRACKET: Final = re.compile(
    rb'[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]]*+)*+([{}\[\]])', re.DOTALL
)


class Malformed(Exception):
    """It is not JSON, not of the shape that was asked for, or holds more than is taken."""


def parsed(body: Text) -> JsonValue:
    """The value of a text. Raises Malformed."""
    if len(body) > DOCUMENT_BYTES or _values(body) > DOCUMENT_VALUES:
        raise Malformed
    try:
        value: JsonValue = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise Malformed from None
    return value


def parsed_list(body: Text) -> list[JsonValue]:
    """The items of a list, which are objects if it is a long text. Raises Malformed."""
    if len(body) > WHOLE_BYTES or _values(body) > DOCUMENT_VALUES:
        return _one_by_one(body)
    value = parsed(body)
    if not isinstance(value, list):
        raise Malformed
    return value


def _one_by_one(body: Text) -> list[JsonValue]:
    opening = _OPENING.match(body)
    if opening is None:
        raise Malformed
    if _EMPTY.match(body):
        return []
    if _values(body) > MOST_VALUES:
        raise Malformed
    found: list[JsonValue] = []
    start = opening.end()
    while True:
        end = _end_of_object(body, start)
        found.append(parsed(body[start:end]))
        between = _BETWEEN.match(body, end)
        if between is None:
            raise Malformed
        if between["end"]:
            return found
        start = between.end()


def _end_of_object(body: Text, start: int) -> int:
    depth, at, last = 0, start, start + DOCUMENT_BYTES
    while (bracket := _BRACKET.match(body, at, last)) is not None:
        depth += 1 if bracket[1] in b"{[" else -1
        at = bracket.end()
        if depth <= 0:
            return at
        if depth > _DEEPEST:
            break
    raise Malformed


def _values(text: Text) -> int:
    """How many values there are at most; texts that hold commas and brackets count too."""
    return sum(
        text.count(mark, at, at + DOCUMENT_BYTES)
        for at in range(0, len(text), DOCUMENT_BYTES)
        for mark in (b",", b"{", b"[")
    )
