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
from carillon.settings.errors import Problems, dotted, nearest
from carillon.settings.file.keys import FileKeys
from carillon.settings.file.schema import Outline, schema_of

M = TypeVar("M", bound=BaseModel)
_MOST_WARNINGS: Final = 100


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
    rest = _Known(outline, problems, warnings).section(outline.root, document, ())
    while True:
        try:
            return model.model_validate(rest)
        except ValidationError as error:
            found = error.errors(include_url=False)
        for each in found:
            _note(each, outline, problems)
        # Backwards, since taking an item out of a list moves those behind it.
        taken = [_take_out(each, rest) for each in reversed(found)]
        if not any(taken):
            return None


class _Known:
    """Leaves out the keys that nobody knows, and says so."""

    def __init__(self, outline: Outline, problems: Problems, warnings: list[str]) -> None:
        self._outline = outline
        self._problems = problems
        self._warnings = warnings

    def section(self, node: Document, value: Document, place: Place) -> Document:
        """An object without unknown keys at any depth."""
        known, others = self._outline.children(node)
        kept: Document = {}
        for key, each in value.items():
            child = known.get(key, others)
            if isinstance(child, dict):
                kept[key] = self._part(child, each, (*place, key))
            elif known:
                self._unknown((*place, key), known, is_error=others is False)
        return kept if known or isinstance(others, dict) else value

    def _part(self, node: Document, value: JsonValue, place: Place) -> JsonValue:
        if isinstance(value, dict):
            return self.section(node, value, place)
        if not isinstance(value, list):
            return value
        item = self._outline.items(node)
        return [self._part(item, each, (*place, at)) for at, each in enumerate(value)]

    def _unknown(self, place: Place, known: Document, *, is_error: bool) -> None:
        if is_error and not self._problems.full:
            self._problems.add(place, f"unknown key; {nearest(str(place[-1]), known)}")
        elif not is_error and len(self._warnings) < _MOST_WARNINGS:
            hint = nearest(str(place[-1]), known)
            self._warnings.append(f"{dotted(place)}: unknown key, not used; {hint}")


def _note(error: ErrorDetails, outline: Outline, problems: Problems) -> None:
    place: Place = error["loc"]
    if error["type"] == "missing":
        problems.add(place, f"is missing; it must be {outline.allowed(place)}")
        return
    own = error.get("ctx", {}).get("error")
    allowed = str(own) if isinstance(own, ValueError) else outline.allowed(place)
    problems.refuse(place, error["input"], allowed)


def _take_out(error: ErrorDetails, document: Document) -> bool:
    """Remove what is wrong, and say whether anything was there: the whole file cannot go."""
    place: Place = error["loc"]
    if error["type"] == "missing":
        place = place[:-1]
    if not place:
        return False
    parent: JsonValue = document
    for step in place[:-1]:
        parent = _inside(parent, step)
    last = place[-1]
    if isinstance(parent, dict):
        return parent.pop(str(last), None) is not None
    if isinstance(parent, list) and isinstance(last, int) and last < len(parent):
        parent.pop(last)
        return True
    return False


def _inside(value: JsonValue, step: str | int) -> JsonValue:
    if isinstance(value, dict):
        return value.get(str(step))
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None
