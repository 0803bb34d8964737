"""toLocale: numbers and dates as a country writes them."""

from __future__ import annotations

from datetime import datetime

from carillon.handlebars.helpers.arguments import ABSENT
from carillon.handlebars.locales.dates import date_text
from carillon.handlebars.locales.intl import Intl
from carillon.handlebars.locales.tags import read_tag
from carillon.handlebars.runtime.registry import Helper, Invocation
from carillon.handlebars.runtime.values import UNDEFINED, is_nothing

_COST, _FIND = 4, 40
#: What Node writes in where a locale is no text.
_SYSTEM = "en-US"


class _Table:
    """The table of locales, read when a template first asks for one."""

    def __init__(self) -> None:
        self._intl: Intl | None = None

    def write(self, value: float | datetime, name: str, call: Invocation) -> str:
        call.charge(_FIND)
        tag = read_tag(name)
        if self._intl is None:
            self._intl = Intl.read()
        numbers, dates, digits = self._intl.find(tag)
        if isinstance(value, datetime):
            return date_text(value, dates, digits)
        return numbers.write(value, digits)


def locale_helpers(default: str) -> dict[str, Helper]:
    """Make `toLocale`, with the locale for where a template names none.

    Raises:
        ValueError: the default is no language tag.
    """
    read_tag(default)
    table = _Table()

    def to_locale(
        call: Invocation, value: object = ABSENT, named: object = UNDEFINED, *_: object
    ) -> object:
        """Write a number or a date in a locale, such as "it-IT"."""
        chosen = call.hash.get("locale", UNDEFINED)
        chosen = named if is_nothing(chosen) else chosen
        return _localized(call, table, value, default if is_nothing(chosen) else chosen)

    return {"toLocale": to_locale}


def _localized(call: Invocation, table: _Table, value: object, chosen: object) -> object:
    call.charge(_COST)
    if value is UNDEFINED:
        return ""
    if value is None:
        raise TypeError("it takes a number or a date, and was given null")
    if isinstance(value, list):
        texts = [
            "" if is_nothing(item) else _localized(call, table, item, chosen) for item in value
        ]
        return ",".join(call.text(text) for text in texts)
    if isinstance(value, bool) or not isinstance(value, int | float | datetime):
        return call.text(value)
    if isinstance(chosen, list):
        chosen = chosen[0] if chosen else _SYSTEM
    return table.write(value, chosen if isinstance(chosen, str) else _SYSTEM, call)
