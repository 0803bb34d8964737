"""Patterns: toRegex and test, match and isMatch, in linear time whatever the pattern."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from carillon.handlebars.helpers.arguments import ABSENT, is_text
from carillon.handlebars.runtime.globs import Glob, compile_glob
from carillon.handlebars.runtime.registry import Helper, Invocation
from carillon.handlebars.runtime.regular_expressions import RegularExpression
from carillon.handlebars.runtime.values import UNDEFINED, is_true

#: Compiling a pattern costs as much as some tens of calls.
_COMPILE, _SCAN = 40, 128


def to_regex(
    call: Invocation, pattern: object = ABSENT, options: object = ABSENT, *_: object
) -> object:
    """Make a regular expression of a text, with `flags=`."""
    given = options if isinstance(options, dict) else {}
    flags = call.hash.get("flags", given.get("flags", UNDEFINED))
    source = "(?:)" if pattern is UNDEFINED else call.key(pattern)
    call.charge(_COMPILE + len(source))
    return RegularExpression.compile(source, "" if flags is UNDEFINED else call.key(flags))


def is_match(
    call: Invocation, text: object = ABSENT, expression: object = ABSENT, *_: object
) -> object:
    """Return whether a text has what the expression describes."""
    if not isinstance(text, str) or not is_text(text):
        return False
    if not isinstance(expression, RegularExpression):
        raise TypeError('it takes a text and a regular expression: `test text (toRegex "…")`')
    call.charge(len(text) // _SCAN)
    return expression.is_in(str(text))


def match(
    call: Invocation, texts: object = ABSENT, patterns: object = ABSENT, *_: object
) -> object:
    """Return those of some texts that a glob describes; those behind `!` are left out again."""
    listed = [one for one in (texts if isinstance(texts, list) else [texts]) if is_text(one)]
    chosen = _patterns(patterns)
    call.charge((_COMPILE + len(listed)) * len(chosen))
    kept: list[object] = []
    for pattern in chosen:
        leaves_out = pattern.startswith("!") and len(chosen) > 1
        is_in = _matcher(call, pattern[1:] if leaves_out else pattern)
        if leaves_out:
            kept = [one for one in kept if not is_in(str(one))]
        else:
            kept += [one for one in listed if is_in(str(one))]
    return list(dict.fromkeys(kept))


def is_glob_match(
    call: Invocation, text: object = ABSENT, pattern: object = ABSENT, *_: object
) -> object:
    """Return whether a glob, or a regular expression, describes a text."""
    if not isinstance(text, str):
        raise TypeError('it takes a text and a pattern: `isMatch text "*.pdf"`')
    if isinstance(pattern, RegularExpression):
        return is_match(call, text, pattern)
    call.charge(_COMPILE + len(text) // _SCAN)
    return any(_matcher(call, one)(str(text)) for one in _patterns(pattern, split=False))


def _patterns(value: object, *, split: bool = True) -> list[str]:
    if isinstance(value, str) and value:
        return re.split(", *", value) if split else [str(value)]
    if isinstance(value, list) and all(is_text(one) for one in value):
        return [str(one) for one in value]
    raise TypeError("the pattern is a text, or a list of them")


def _matcher(call: Invocation, pattern: str) -> Glob:
    dots, nocase = (is_true(call.hash.get(name, False)) for name in ("dot", "nocase"))
    call.charge(len(pattern))
    return compile_glob(pattern, dots=dots, ignore_case=nocase)


REGEX: Mapping[str, Helper] = MappingProxyType(
    {
        "toRegex": to_regex,
        "test": is_match,
        "match": match,
        "mm": match,
        "isMatch": is_glob_match,
    }
)
