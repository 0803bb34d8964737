"""Small letters and capitals: uppercase, capitalize, camelcase, titleize and their like."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from carillon.messages.templates.helpers.arguments import ABSENT
from carillon.messages.templates.registry import Helper, Invocation
from carillon.messages.templates.values import JS_SPACE

# To the reference letters are those of ASCII alone, so `città` loses its last one here.
_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_BREAK = re.compile("[^A-Za-z0-9]+([A-Za-z0-9]|\\Z)")
_WORD_START = re.compile(f"[A-Za-z0-9_][^{JS_SPACE}]*")
_SENTENCE = re.compile(f"[^{JS_SPACE}][^.?!]*[.?!]*")
_TITLE_BREAK = re.compile("[- _]+")
#: The patterns take some 20 to 60 ns a character, so long texts cost more than by their length.
_SLOW = 32


def capitalized(text: str) -> str:
    """Make the first letter a capital, unless it is beyond the BMP: two letters to JavaScript."""
    first = text[:1]
    return (first if first > "\uffff" else first.upper()) + text[1:]


def lowercase(call: Invocation, text: object = ABSENT, *_: object) -> object:
    """Make letters small."""
    if text is ABSENT and call.is_block:
        return call.fn(call.this).lower()
    return text.lower() if isinstance(text, str) else ""


def uppercase(call: Invocation, text: object = ABSENT, *_: object) -> object:
    """Make letters capitals."""
    if text is ABSENT and call.is_block:
        return call.fn(call.this).upper()
    return text.upper() if isinstance(text, str) else ""


def _of_text(change: Callable[[str], str]) -> Helper:
    def helper(call: Invocation, text: object = ABSENT, *_: object) -> object:
        if not isinstance(text, str) or not text:
            return ""
        if len(text) > _SLOW:
            call.charge(2 * len(text) // _SLOW)
        return change(text)

    return helper


def _chopped(text: str) -> str:
    text = text.strip(JS_SPACE)
    start, end = 0, len(text)
    while start < end and text[start] not in _WORD:
        start += 1
    while end > start and text[end - 1] not in _WORD:
        end -= 1
    return text[start:end]


def _cased(text: str, change: Callable[[str], str]) -> str:
    if len(text) == 1 and text <= "\uffff":
        return text.lower()
    return _BREAK.sub(lambda match: change(match[1]), _chopped(text).lower())


def _joined(separator: str) -> Callable[[str], str]:
    return lambda text: _cased(text, lambda char: separator + char)


def _camel(text: str) -> str:
    return _cased(text, str.upper)


def _pascal(text: str) -> str:
    return capitalized(_camel(text))


def _capitalize_all(text: str) -> str:
    return _WORD_START.sub(lambda match: capitalized(match[0]), text)


def _sentence(text: str) -> str:
    return _SENTENCE.sub(lambda match: _as_sentence(match[0]), text)


def _as_sentence(text: str) -> str:
    first = text[:1]
    if first > "\uffff":
        return text.lower()
    return first.upper() + text[1:].lower()


def _titleize(text: str) -> str:
    return " ".join(capitalized(word) for word in _TITLE_BREAK.sub(" ", text).split(" "))


LETTERS: Mapping[str, Helper] = MappingProxyType(
    {
        "camelcase": _of_text(_camel),
        "capitalize": _of_text(capitalized),
        "capitalizeAll": _of_text(_capitalize_all),
        "chop": _of_text(_chopped),
        "dashcase": _of_text(_joined("-")),
        "dotcase": _of_text(_joined(".")),
        "downcase": lowercase,
        "lowercase": lowercase,
        "pascalcase": _of_text(_pascal),
        "pathcase": _of_text(_joined("/")),
        "sentence": _of_text(_sentence),
        "snakecase": _of_text(_joined("_")),
        "titleize": _of_text(_titleize),
        "upcase": uppercase,
        "uppercase": uppercase,
    }
)
