"""Texts: capitals, trimming, cutting, replacing, splitting."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from carillon.handlebars.helpers.arguments import (
    ABSENT,
    cut,
    is_number,
    is_text,
    own_options,
    refuse,
)
from carillon.handlebars.helpers.units import units, whole
from carillon.handlebars.runtime.registry import Helper, Invocation, ReadsContext
from carillon.handlebars.runtime.values import JS_SPACE, UNDEFINED, is_nothing, to_number

_NBSP = "&nbsp;"
_REPLACEMENT = re.compile(r"\$([$&`'])")
_SEPARATOR = re.compile("[\t ]")


def _of(value: object) -> str:
    """Return a text that is not empty, and '' for anything else."""
    return str(value) if isinstance(value, str) else ""


def append(_call: Invocation, text: object = ABSENT, suffix: object = ABSENT, *_: object) -> object:
    """Put a text after another."""
    return text + suffix if isinstance(text, str) and isinstance(suffix, str) else text


def prepend(
    _call: Invocation, text: object = ABSENT, prefix: object = ABSENT, *_: object
) -> object:
    """Put a text before another."""
    return prefix + text if isinstance(text, str) and isinstance(prefix, str) else text


def center(call: Invocation, text: object = ABSENT, spaces: object = ABSENT, *_: object) -> object:
    """Put this many non-breaking spaces on both sides."""
    if not is_text(text):
        return ""
    count = to_number(spaces)
    if not count > 0:
        return text
    # The budget is far below any count that could not be made.
    call.charge(1 + int(min(count, 2.0**53)) // 16)
    space = _NBSP * (int(count) if count == int(count) else int(count) + 1)
    return space + _of(text) + space


def ellipsis(
    _call: Invocation, text: object = ABSENT, limit: object = ABSENT, *_: object
) -> object:
    """Cut a text that is too long, with … after it."""
    if not is_text(text):
        return UNDEFINED
    if len(units(_of(text))) <= to_number(limit):
        return text
    return _truncated(_of(text), to_number(limit), "") + "…"


def truncate(
    _call: Invocation,
    text: object = ABSENT,
    limit: object = ABSENT,
    suffix: object = ABSENT,
    *_: object,
) -> object:
    """Cut a text that is too long, with a suffix that counts."""
    if not is_text(text):
        return UNDEFINED
    return _truncated(_of(text), to_number(limit), _of(suffix))


def _truncated(text: str, limit: float, suffix: str) -> str:
    spread = units(text)
    if not len(spread) > limit:
        return text
    return whole(cut(spread, 0, limit - len(units(suffix)))) + suffix


def truncate_words(
    _call: Invocation,
    text: object = ABSENT,
    count: object = ABSENT,
    suffix: object = ABSENT,
    *_: object,
) -> object:
    """Put … after a text. The reference's test is the wrong way round, so it never cuts."""
    if not is_text(text) or not is_number(count):
        return UNDEFINED
    after = suffix if isinstance(suffix, str) else "…"
    return _SEPARATOR.sub(" ", _of(text)).strip(JS_SPACE) + after


def is_string(_call: Invocation, value: object = ABSENT, *_: object) -> object:
    """Return whether it is a text."""
    return isinstance(value, str)


def occurrences(
    call: Invocation, text: object = ABSENT, part: object = ABSENT, *_: object
) -> object:
    """Count how often a text has a part."""
    if not is_text(text):
        return ""
    if not is_text(part):
        if part == "" or is_nothing(part) or call.text(part) in _of(text):
            raise TypeError("the part to count must be a text that is not empty")
        return 0
    return _of(text).count(_of(part))


def plusify(_call: Invocation, text: object = ABSENT, char: object = ABSENT, *_: object) -> object:
    """Put + in place of spaces, or of another text."""
    return _of(text).replace(_of(char) or " ", "+")


def hyphenate(_call: Invocation, text: object = ABSENT, *_: object) -> object:
    """Put - in place of spaces."""
    return _of(text).replace(" ", "-")


def raw(call: Invocation, *surplus: object) -> object:
    """Keep what stands in the block for another engine: `{{` gets a backslash."""
    refuse(surplus)
    text = call.fn(UNDEFINED)
    if own_options(call, ABSENT).get("escape", UNDEFINED) is False:
        return text
    parts, start, place = [], 0, text.find("{{")
    while place >= 0:
        escaped = place > 0 and text[place - 1] == "\\"
        if not escaped:
            parts += [text[start:place], "\\"]
            start = place
        place = text.find("{{", place + (3 if escaped else 2))
    return "".join([*parts, text[start:]])


def remove(_call: Invocation, text: object = ABSENT, part: object = ABSENT, *_: object) -> object:
    """Take a part out, wherever it stands."""
    return _of(text).replace(_of(part), "") if is_text(part) else _of(text)


def remove_first(
    _call: Invocation, text: object = ABSENT, part: object = ABSENT, *_: object
) -> object:
    """Take a part out where it stands first."""
    return _of(text).replace(_of(part), "", 1) if is_text(part) else _of(text)


def replace(
    call: Invocation, text: object = ABSENT, a: object = ABSENT, b: object = ABSENT, *_: object
) -> object:
    """Put `b` in place of `a`, wherever it stands."""
    if not is_text(text) or not is_text(a):
        return _of(text)
    source, new = _of(text), _of(b)
    call.charge(source.count(_of(a)) * len(new) // 128)
    return source.replace(_of(a), new)


def replace_first(
    _call: Invocation, text: object = ABSENT, a: object = ABSENT, b: object = ABSENT, *_: object
) -> object:
    """Put `b` in place of `a` where it stands first; `$&` in `b` means `a`."""
    before, found, after = _of(text).partition(_of(a) or "\0")
    if not found or not is_text(a):
        return _of(text)
    meaning = {"$": "$", "&": found, "`": before, "'": after}
    return before + _REPLACEMENT.sub(lambda match: meaning[match[1]], _of(b)) + after


def reverse(_call: Invocation, text: object = ABSENT, *_: object) -> object:
    """Turn a text around. Of a list it makes nothing, as in the reference."""
    return whole(units(_of(text))[::-1])


def split(
    call: Invocation, text: object = ABSENT, separator: object = ABSENT, *_: object
) -> object:
    """Make a list of the parts of a text."""
    if not is_text(text):
        return ""
    between = _of(separator) or ","
    call.charge(_of(text).count(between) // 4)
    return _of(text).split(between)


def starts_with(
    call: Invocation, prefix: object = ABSENT, text: object = ABSENT, *_: object
) -> object:
    """Choose a body by how a text begins."""
    if is_text(text) and _of(text).startswith(call.key(prefix)):
        return call.fn(call.this)
    return call.inverse(call.this) if call.is_block else ""


def trim(_call: Invocation, text: object = ABSENT, *_: object) -> object:
    """Take space off both ends."""
    return _of(text).strip(JS_SPACE)


def trim_left(_call: Invocation, text: object = ABSENT, *_: object) -> object:
    """Take space off the start."""
    return _of(text).lstrip(JS_SPACE) if is_text(text) else UNDEFINED


def trim_right(_call: Invocation, text: object = ABSENT, *_: object) -> object:
    """Take space off the end."""
    return _of(text).rstrip(JS_SPACE) if is_text(text) else UNDEFINED


STRING: Mapping[str, Helper] = MappingProxyType(
    {
        "append": append,
        "center": center,
        "ellipsis": ellipsis,
        "hyphenate": hyphenate,
        "isString": is_string,
        "occurrences": occurrences,
        "plusify": plusify,
        "prepend": prepend,
        "raw": ReadsContext(raw),
        "remove": remove,
        "removeFirst": remove_first,
        "replace": replace,
        "replaceFirst": replace_first,
        "reverse": reverse,
        "split": split,
        "startsWith": starts_with,
        "trim": trim,
        "trimLeft": trim_left,
        "trimRight": trim_right,
        "truncate": truncate,
        "truncateWords": truncate_words,
    }
)


# To the reference letters are those of ASCII alone, so `città` loses its last one here.
_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_BREAK = re.compile("[^A-Za-z0-9]+([A-Za-z0-9]|\\Z)")
_WORD_START = re.compile(f"[A-Za-z0-9_][^{JS_SPACE}]*")
_SENTENCE = re.compile(f"[^{JS_SPACE}][^.?!]*[.?!]*")
_TITLE_BREAK = re.compile("[- _]+")
#: The patterns take 20 to 60 ns a character, so long texts cost more than by their length.
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
