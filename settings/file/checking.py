"""From the JSON of the file to its keys, with every problem of it in one go.

What is wrong is noted and taken out, then the rest is looked at again: so that one mistake does
not hide the next, also not from the checks that come after.
"""

from __future__ import annotations

from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from carillon.messages.json_keys import Place
from carillon.messages.model import Document, JsonValue
from carillon.providers.config import name_of
from carillon.providers.registry import PLUGINS, TYPES
from carillon.settings.errors import Problems, dotted, nearest
from carillon.settings.file.keys import FileKeys
from carillon.settings.file.schema import Outline, schema_of, value_at

M = TypeVar("M", bound=BaseModel)
_MOST_WARNINGS: Final = 100
_IN_PROVIDER: Final = 2
"""Steps of a place in the file that lead to the section of a provider."""


def check(document: JsonValue, problems: Problems, warnings: list[str]) -> FileKeys | None:
    """The keys of the file; None if there is nothing left to go on with."""
    if not isinstance(document, dict):
        problems.add((), "must be a JSON object")
        return None
    return check_keys(FileKeys, document, problems, warnings)


def check_keys(
    model: type[M], document: Document, problems: Problems, warnings: list[str]
) -> M | None:
    """Any section on its own, by the same rules."""
    outline = Outline(schema_of(model))
    known = _Known(document, outline, problems, warnings)
    rest = known.section(outline.root, document, ())
    while True:
        try:
            return model.model_validate(rest)
        except ValidationError as error:
            found = error.errors(include_url=False)
        for each in found:
            _note(each, outline, rest, problems)
        # Backwards, since taking an item out of a list moves those behind it.
        taken = [_take_out(each, rest) for each in reversed(found)]
        if not any(taken):
            return None


class _Known:
    """Leaves out unknown keys, and says so."""

    def __init__(
        self, document: Document, outline: Outline, problems: Problems, warnings: list[str]
    ) -> None:
        self._document = document
        self._outline = outline
        self._problems = problems
        self._warnings = warnings

    def section(self, node: Document, value: Document, place: Place) -> Document:
        """An object without unknown keys at any depth."""
        known, others = self._outline.children(node, value)
        kept: Document = {}
        for key, each in value.items():
            child = known.get(key, others)
            if isinstance(child, dict):
                kept[key] = self._part(child, each, (*place, key))
            elif known or others is False:
                self._unknown((*place, key), known, is_error=others is False)
        return value if others is None and not known else kept

    def _part(self, node: Document, value: JsonValue, place: Place) -> JsonValue:
        if isinstance(value, dict):
            return self.section(node, value, place)
        if not isinstance(value, list):
            return value
        item = self._outline.items(node)
        return [self._part(item, each, (*place, at)) for at, each in enumerate(value)]

    def _unknown(self, place: Place, known: Document, *, is_error: bool) -> None:
        if is_error and not self._problems.full:
            self._problems.add(place, self._of_type(place, known) or _nobody_knows(place, known))
        elif not is_error and len(self._warnings) < _MOST_WARNINGS:
            hint = nearest(str(place[-1]), known)
            self._warnings.append(f"{dotted(place)}: unknown key, not used; {hint}")

    def _of_type(self, place: Place, known: Document) -> str | None:
        """What is said of a key that other types of providers may have."""
        if place[0] != "providers" or len(place) <= _IN_PROVIDER:
            return None
        _, section, key, *inner = place
        written = value_at(value_at(value_at(self._document, "providers"), section), "type")
        kind = TYPES[str(written or section)]
        if not inner:
            return kind.facts.absent.get(str(key))
        if key not in {"credentials", "options"}:
            return None
        return f"{name_of(kind)} does not know this key; allowed: {', '.join(known) or 'none'}"


def _nobody_knows(place: Place, known: Document) -> str:
    return f"unknown key; {nearest(str(place[-1]), known)}"


def _note(error: ErrorDetails, outline: Outline, document: Document, problems: Problems) -> None:
    place = _place(error)
    if error["type"] == "missing":
        problems.add(place, f"is missing; it must be {outline.allowed(place, document)}")
    elif error["type"] == "union_tag_not_found" and str(place[-1]) in PLUGINS.broken:
        problems.add(place, PLUGINS.broken[str(place[-1])])
    elif error["type"] == "union_tag_not_found":
        hint = nearest(str(place[-1]), TYPES)
        problems.add((*place, "type"), f"is missing, and the name is no type; {hint}")
    elif error["type"] == "union_tag_invalid":
        written = value_at(error["input"], "type")
        if (broken := PLUGINS.broken.get(str(written))) is not None:
            problems.add((*place, "type"), broken)
        problems.refuse((*place, "type"), written, f"one of {', '.join(TYPES)}")
    else:
        own = error.get("ctx", {}).get("error")
        allowed = str(own) if isinstance(own, ValueError) else outline.allowed(place, document)
        is_secret = outline.is_secret(place, document)
        problems.refuse(place, error["input"], allowed, is_secret=is_secret)


def _place(error: ErrorDetails) -> Place:
    """Where it is in the file: the types of providers by which it was checked are no keys."""
    place: Place = error["loc"]
    return place[:2] + place[3:] if place[:1] == ("providers",) else place


def _take_out(error: ErrorDetails, document: Document) -> bool:
    """Remove what is wrong, and say whether anything was there: the whole file cannot go."""
    place = _place(error)
    if error["type"] == "missing":
        place = place[:-1]
    if not place:
        return False
    parent: JsonValue = document
    for step in place[:-1]:
        parent = value_at(parent, step)
    last = place[-1]
    if isinstance(parent, dict):
        return parent.pop(str(last), None) is not None
    if isinstance(parent, list) and isinstance(last, int) and last < len(parent):
        parent.pop(last)
        return True
    return False
