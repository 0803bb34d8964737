"""Words: inflect, ordinalize, i18n."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from carillon.handlebars.helpers.arguments import ABSENT, is_text, own_options
from carillon.handlebars.helpers.lookups import get
from carillon.handlebars.helpers.relations import order, strictly_equal
from carillon.handlebars.runtime.numbers import remainder, round_half_up
from carillon.handlebars.runtime.registry import Helper, Invocation, ReadsContext
from carillon.handlebars.runtime.values import UNDEFINED, is_true, to_number

_ENDINGS = {1: "st", 2: "nd", 3: "rd"}
_TEENS = {11, 12, 13}


def inflect(
    call: Invocation,
    count: object = ABSENT,
    singular: object = ABSENT,
    plural: object = ABSENT,
    include: object = ABSENT,
    *_: object,
) -> object:
    """Choose the singular or the plural; with `true` at the end the count comes before it."""
    if singular is ABSENT:  # to the reference it is then the options, and what follows is missing
        singular, plural = (UNDEFINED if count is ABSENT else singular), UNDEFINED
    many = order(count, 1, call.text) == 1 or strictly_equal(count, 0)
    word = plural if many else singular
    return f"{call.key(count)} {call.key(word)}" if include is True else word


def ordinalize(call: Invocation, value: object = ABSENT, *_: object) -> object:
    """Write a number as 1st, 2nd, 3rd, 4th."""
    number = abs(round_half_up(to_number(value)))
    text = call.key(value)
    if remainder(number, 100) in _TEENS:
        return f"{text}th"
    return text + _ENDINGS.get(_last_digit(number), "th")


def _last_digit(number: float) -> int:
    digit = remainder(number, 10)
    return int(digit) if digit == digit else 0  # noqa: PLR0124


def i18n(call: Invocation, path: object = ABSENT, words: object = ABSENT, *_: object) -> object:
    """Look a text up under the language that the context or `language=` names."""
    if not is_text(path):
        raise TypeError("it takes the path of a text")
    around = call.this if isinstance(call.this, dict) else {}
    context = {**around, **own_options(call, words)}
    language = context.get("language", UNDEFINED)
    language = language if is_true(language) else context.get("lang", UNDEFINED)
    if not isinstance(language, str) or not language:
        raise TypeError("no language is given: pass `language=` or a field of that name")
    texts = context.get(language, UNDEFINED)
    if texts is UNDEFINED:
        raise LookupError(f'the context has no texts for the language "{language[:20]}"')
    found = get(call, texts, path)
    if found is UNDEFINED:
        raise LookupError(f'"{call.key(path)[:40]}" has no text in the language "{language[:20]}"')
    return found


LANGUAGE: Mapping[str, Helper] = MappingProxyType(
    {"inflect": inflect, "ordinalize": ordinalize, "i18n": ReadsContext(i18n)}
)
