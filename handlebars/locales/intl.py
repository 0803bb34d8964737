"""The table of how Node's Intl writes, and which of its rows a language tag means.

`intl.json` is made by `generate.js` with the release of Node that the conformance cases were
recorded with. No library has this: CLDR's data alone leaves out what ICU and V8 make of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from carillon.handlebars.locales.dates import DateStyle
from carillon.handlebars.locales.numbers import NumberStyle
from carillon.handlebars.locales.tags import Tag

_UNKNOWN = Tag("en", None, "US", (), None)
"""What Node writes in where it knows nothing of a language."""
_SAME_SIGNS = -1


@dataclass(frozen=True, slots=True)
class Intl:
    """How every locale writes. Read once; about 400 KB."""

    languages: Mapping[str, str]
    regions: Mapping[str, str]
    digits: Mapping[str, str]
    dates: Mapping[str, int]
    numbers: Mapping[str, Mapping[str, int]]
    date_styles: tuple[DateStyle, ...]
    number_styles: tuple[NumberStyle, ...]

    @classmethod
    def read(cls) -> Intl:
        """Read the table."""
        table = json.loads((Path(__file__).parent / "intl.json").read_text(encoding="utf-8"))
        return cls(
            languages=table["languages"],
            regions=table["regions"],
            digits=table["digits"],
            dates=table["dates"],
            numbers=table["numbers"],
            date_styles=tuple(DateStyle(**row) for row in table["dateStyles"]),
            number_styles=tuple(NumberStyle(**row) for row in table["numberStyles"]),
        )

    def find(self, tag: Tag) -> tuple[NumberStyle, DateStyle, Mapping[int, str]]:
        """How numbers and date-times are written, and from which digits of ours to which others."""
        names = list(self._names(tag))
        if names[-1] not in self.dates:
            names = list(self._names(_UNKNOWN))
        dates = self.date_styles[_first(names, self.dates)]
        asked = tag.numbering or ""
        system = asked if asked in self.digits else dates.digits
        number = _first(names, self.numbers.get(system, {}))
        if number == _SAME_SIGNS:
            number = _first(names, self.numbers["latn"])
        return self.number_styles[number], dates, _translation(self.digits[system])

    def _names(self, tag: Tag) -> Iterator[str]:
        """The tag in Intl's spelling, then each time without its last subtag."""
        language, _, script = self.languages.get(tag.language, tag.language).partition("-")
        region = self.regions.get(tag.territory or "", tag.territory)
        parts = [language, tag.script or script, region, *tag.variants]
        known = [part for part in parts if part]
        for length in range(len(known), 0, -1):
            yield "-".join(known[:length])


def _first(names: list[str], rows: Mapping[str, int]) -> int:
    return next((rows[name] for name in names if name in rows), _SAME_SIGNS)


def _translation(digits: str) -> Mapping[int, str]:
    return {} if digits.isascii() else {ord("0") + value: sign for value, sign in enumerate(digits)}
