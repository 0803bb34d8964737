"""Regular expressions: toRegex and test, in linear time whatever the pattern."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from messages.templates.helpers.arguments import ABSENT, is_text
from messages.templates.registry import Helper, Invocation
from messages.templates.regular_expressions import RegularExpression
from messages.templates.values import UNDEFINED

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
    """Tell whether a text has what the expression describes."""
    if not isinstance(text, str) or not is_text(text):
        return False
    if not isinstance(expression, RegularExpression):
        raise TypeError('it takes a text and a regular expression: `test text (toRegex "…")`')
    call.charge(len(text) // _SCAN)
    return expression.is_in(str(text))


REGEX: Mapping[str, Helper] = MappingProxyType({"toRegex": to_regex, "test": is_match})
