"""Reads dates out of text as Day.js does: its own pattern first, then V8's `Date.parse`.

A port of V8's `src/date/dateparser-inl.h`: the ISO format of ECMA-262, and failing that a forgiving
reading of nearly anything, such as "Oct 15, 2023 9:30 PM GMT+2".
"""

from __future__ import annotations

import re

from carillon.handlebars.dates.calendar import clipped, milliseconds
from carillon.handlebars.dates.composing import (
    Day,
    Time,
    Zone,
    compose,
    is_day,
    is_hour,
    is_month,
    is_sixtieth,
)
from carillon.handlebars.dates.scanning import Kind, Scanner, Token
from carillon.handlebars.runtime.values import JS_SPACE

_DAYJS = re.compile(
    rf"([0-9]{{4}})[-/]?([0-9]{{1,2}})?[-/]?([0-9]{{0,2}})[Tt{JS_SPACE}]*([0-9]{{1,2}})?"
    r":?([0-9]{1,2})?:?([0-9]{1,2})?[.:]?([0-9]+)?\Z"
)
_USUAL = re.compile(
    r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])"
    r"(?:\.([0-9]{1,9}))?(Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])\Z"
)
#: No date has as many characters, but for parentheses and spaces.
_LONGEST = 1000
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ZONES = {
    "ut": 0, "utc": 0, "z": 0, "gmt": 0, "cdt": -5, "cst": -6, "edt": -4, "est": -5,
    "mdt": -6, "mst": -7, "pdt": -7, "pst": -8,
}  # fmt: skip
_HALVES = {"am": 0, "pm": 12}
_TWO_DIGIT_YEARS = 100
_NOON_MIDNIGHT = 24


class _NoDate(Exception):
    """The text is no date."""


def parse_text(text: str) -> int | None:
    """Give the milliseconds since 1970 that Day.js reads in `text`, or None."""
    usual = _USUAL.match(text)
    if usual:
        return _by_usual(usual)
    short = len(text) <= _LONGEST
    found = _DAYJS.match(text) if short and text[-1:] not in {"Z", "z"} else None
    return _by_pattern(found) if found else parse_as_v8(text)


def parse_as_v8(text: str) -> int | None:
    """Give the milliseconds since 1970 that `new Date(text)` reads, or None."""
    if len(text) > _LONGEST:
        return None
    try:
        parsed = _Parser(text).parse()
    except _NoDate:
        return None
    return None if parsed is None else clipped(parsed)


def _by_usual(found: re.Match[str]) -> int | None:
    """Read `2024-02-29T13:05:09.007+01:00`, which nearly every date is, without taking it apart."""
    year, month, day, hour, minute, second = map(int, found.group(1, 2, 3, 4, 5, 6))
    fraction = int(found[7][:3].ljust(3, "0")) if found[7] else 0
    timestamp = milliseconds(year, month, day, hour, minute, second, fraction)
    zone = found[8]
    if len(zone) > 1:
        offset = (int(zone[1:3]) * 60 + int(zone[4:])) * 60_000
        timestamp += offset if zone[0] == "-" else -offset
    return timestamp


def _by_pattern(found: re.Match[str]) -> int | None:
    # `new Date(2023, …)` takes the years 0 to 99 for those of the last century.
    year = int(found[1])
    year += 1900 if year < _TWO_DIGIT_YEARS else 0
    month = int(found[2]) if found[2] else 1
    day = int(found[3]) if found[3] else 1
    hour, minute, second = (int(part) if part else 0 for part in found.group(4, 5, 6))
    fraction = int((found[7] or "0")[:3])
    return clipped(milliseconds(year, month, day, hour, minute, second, fraction))


class _Parser:
    def __init__(self, text: str) -> None:
        self._scanner = Scanner(text)
        self._day, self._time, self._zone = Day(), Time(), Zone()
        self._has_number = False

    def parse(self) -> int | None:
        token = self._iso()
        self._has_number = bool(self._day.parts)
        if token.kind is Kind.END:
            token = self._scanner.next()
        while token.kind is not Kind.END:
            self._legacy(token)
            token = self._scanner.next()
        return compose(self._day, self._time, self._zone)

    # --- the format of ECMA-262 ---

    def _iso(self) -> Token:
        """Read an ISO date, or give the token that the forgiving reading has to begin with."""
        scanner, day = self._scanner, self._day
        if scanner.peek.is_symbol("+", "-"):
            sign = scanner.next()
            if not scanner.peek.is_fixed(6) or (sign.text == "-" and not scanner.peek.number):
                return sign
            year = scanner.next().number
            day.add(-year if sign.text == "-" else year)
        elif scanner.peek.is_fixed(4):
            day.add(scanner.next().number)
        else:
            return scanner.next()
        for fits in (is_month, is_day):
            if not scanner.skip("-"):
                break
            if not scanner.peek.is_fixed(2) or not fits(scanner.peek.number):
                return scanner.next()
            day.add(scanner.next().number)
        if scanner.peek.is_word("t"):
            self._iso_time()
        elif scanner.peek.kind is not Kind.END:
            return scanner.next()
        if self._zone.is_empty and not self._time.parts:
            self._zone.set(0)
        day.is_iso = True
        return Token(Kind.END)

    def _iso_time(self) -> None:
        scanner, time = self._scanner, self._time
        scanner.next()
        hour = self._two(24)
        time.add(hour)
        most = 0 if hour == _NOON_MIDNIGHT else 59
        if not scanner.skip(":"):
            raise _NoDate
        time.add(self._two(most))
        if scanner.skip(":"):
            time.add(self._two(most))
            if scanner.skip("."):
                if scanner.peek.kind is not Kind.NUMBER or (not most and scanner.peek.number):
                    raise _NoDate
                time.add(_milliseconds(scanner.next()))
        if scanner.peek.is_word("z"):
            scanner.next()
            self._zone.set(0)
        elif scanner.peek.is_symbol("+", "-"):
            self._iso_zone()
        if scanner.peek.kind is not Kind.END:
            raise _NoDate

    def _iso_zone(self) -> None:
        scanner, zone = self._scanner, self._zone
        zone.sign = 1 if scanner.next().text == "+" else -1
        if scanner.peek.is_fixed(4):
            zone.hour, zone.minute = divmod(scanner.next().number, 100)
            if not is_hour(zone.hour) or not is_sixtieth(zone.minute):
                raise _NoDate
            return
        zone.hour = self._two(23)
        if not scanner.skip(":"):
            raise _NoDate
        zone.minute = self._two(59)

    def _two(self, most: int) -> int:
        token = self._scanner.next()
        if not token.is_fixed(2) or token.number > most:
            raise _NoDate
        return token.number

    # --- the forgiving reading ---

    def _legacy(self, token: Token) -> None:
        if token.kind is Kind.NUMBER:
            self._has_number = True
            self._number(token)
        elif token.kind is Kind.WORD:
            self._word(token)
        elif token.is_symbol("+", "-") and (self._zone.is_utc or self._time.parts):
            self._offset(token)
        elif token.is_symbol("+", "-", ")") and self._has_number:
            raise _NoDate

    def _number(self, token: Token) -> None:
        scanner, time, number = self._scanner, self._time, token.number
        if scanner.skip(":"):
            self._before_colon(number)
        elif scanner.peek.is_symbol(".") and (scanner.next(), time.expects(number))[1]:
            time.add(number)
            if scanner.peek.kind is not Kind.NUMBER:
                raise _NoDate
            time.finish(_milliseconds(scanner.next()))
        elif self._zone.expects(number):
            self._zone.minute = number
        elif time.expects(number):
            time.finish(number)
            after = scanner.peek
            if not (
                after.kind in {Kind.END, Kind.SPACE}
                or after.is_word("z")
                or after.is_symbol("+", "-")
            ):
                raise _NoDate
        else:
            if not self._day.add(number):
                raise _NoDate
            scanner.skip("-")

    def _before_colon(self, number: int) -> None:
        scanner, time = self._scanner, self._time
        if scanner.skip(":"):
            if time.parts:
                raise _NoDate
            time.add(number)
            time.add(0)
        else:
            if not time.add(number):
                raise _NoDate
            scanner.skip(".")

    def _word(self, token: Token) -> None:
        word = token.text
        exact = token.length == len(word)
        if exact and word in _HALVES and self._time.parts:
            self._time.half = _HALVES[word]
        elif word in _MONTHS:
            self._day.month = _MONTHS.index(word) + 1
            self._scanner.skip("-")
        elif exact and word in _ZONES and self._has_number:
            self._zone.set(_ZONES[word])
        elif self._has_number or self._scanner.peek.kind is Kind.NUMBER:
            # Words that say nothing may stand before the first number only.
            raise _NoDate

    def _offset(self, token: Token) -> None:
        scanner, zone = self._scanner, self._zone
        zone.sign = 1 if token.text == "+" else -1
        number = scanner.next() if scanner.peek.kind is Kind.NUMBER else Token(Kind.NUMBER)
        self._has_number = True
        if scanner.peek.is_symbol(":"):
            zone.hour, zone.minute = number.number, None
        elif number.length in {1, 2}:
            zone.hour, zone.minute = number.number, 0
        elif number.length in {3, 4}:
            zone.hour, zone.minute = divmod(number.number, 100)
        else:
            raise _NoDate


def _milliseconds(token: Token) -> int:
    """Read the digits after a point: of more than three the rest is dropped."""
    return int(token.text[:9].ljust(3, "0")[:3]) if token.text else 0
