"""toLocale: numbers and dates as a country writes them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from messages.templates.helpers.arguments import ABSENT
from messages.templates.locales.numbers import NumberStyle, number_style
from messages.templates.locales.tags import find_locale, forget_locales, read_tag
from messages.templates.registry import Helper, Invocation
from messages.templates.values import UNDEFINED, is_nothing

if TYPE_CHECKING:
    from babel import Locale

_COST, _LOAD = 4, 4000
#: What Node writes in where a locale is not known, or is no text.
_SYSTEM = "en-US"
_MOST_KEPT = 64


class _Styles:
    """How locales write numbers, of those that were asked for last.

    The data of a locale takes some milliseconds to read and some 200 KB to keep.
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[Locale, NumberStyle]] = {}

    def find(self, name: str, call: Invocation) -> tuple[Locale, NumberStyle]:
        found = self._found.get(name)
        if found is None:
            call.charge(_LOAD)
            tag = read_tag(name)
            locale = find_locale(tag, _SYSTEM)
            if len(self._found) >= _MOST_KEPT:
                self._found.clear()
                forget_locales()
            found = self._found[name] = (locale, number_style(locale, tag.numbering))
        return found


def locale_helpers(default: str) -> dict[str, Helper]:
    """Make `toLocale`, with the locale for where a template names none.

    Raises:
        ValueError: the default is no language tag.
    """
    read_tag(default)
    styles = _Styles()

    def to_locale(
        call: Invocation, value: object = ABSENT, named: object = UNDEFINED, *_: object
    ) -> object:
        """Write a number or a date in a locale, such as "it-IT"."""
        chosen = call.hash.get("locale", UNDEFINED)
        chosen = named if is_nothing(chosen) else chosen
        return _localized(call, styles, value, default if is_nothing(chosen) else chosen)

    return {"toLocale": to_locale}


def _localized(call: Invocation, styles: _Styles, value: object, chosen: object) -> object:
    call.charge(_COST)
    if value is UNDEFINED:
        return ""
    if value is None:
        raise TypeError("it takes a number or a date, and was given null")
    if isinstance(value, list):
        texts = [
            "" if is_nothing(item) else _localized(call, styles, item, chosen) for item in value
        ]
        return ",".join(call.text(text) for text in texts)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number and not isinstance(value, datetime):
        return call.text(value)
    if isinstance(chosen, list):
        chosen = chosen[0] if chosen else _SYSTEM
    locale, style = styles.find(chosen if isinstance(chosen, str) else _SYSTEM, call)
    if isinstance(value, datetime):
        from messages.templates.locales.dates import date_text  # noqa: PLC0415

        return date_text(value, locale, style.digits)
    return style.write(value) if isinstance(value, int | float) else ""
