"""The JSON Schema of the configuration file, and what it says about one place of it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from carillon.messages.json_keys import Place
from carillon.messages.model import Document, JsonValue
from carillon.settings.file.keys import FileKeys

if TYPE_CHECKING:
    from pydantic import BaseModel


@cache
def schema() -> Document:
    """The JSON Schema (draft 2020-12) of the configuration file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema_of(FileKeys)}


@cache
def schema_of(model: type[BaseModel]) -> Document:
    """The JSON Schema of these keys; a key that is null counts as one that is not there."""
    return _plain(model.model_json_schema())


class Outline:
    """The schema as something to walk along."""

    def __init__(self, root: Document) -> None:
        self.root = root
        self._shared = _object(root.get("$defs"))

    def children(self, node: Document) -> tuple[Document, JsonValue]:
        """The keys an object of this kind has, and what any other key may hold.

        The latter is False where no other key may stand, None where nobody says.
        """
        node = self._form(node, "object")
        return _object(node.get("properties")), node.get("additionalProperties")

    def items(self, node: Document) -> Document:
        """What the members of a list of this kind are."""
        return _object(self._form(node, "array").get("items"))

    def at(self, place: Place) -> Document:
        """What may stand at this place; empty where the schema says nothing."""
        node = self.root
        for step in place:
            known, others = self.children(node)
            node = self.items(node) if isinstance(step, int) else _object(known.get(step, others))
        return node

    def allowed(self, place: Place) -> str:
        """What may stand at this place, in words."""
        return self._words(self.at(place))

    def _words(self, node: Document) -> str:
        forms = [self._words(form) for form in self._forms(node)]
        if forms:
            return " or ".join(dict.fromkeys(forms))
        node = self._shared_form(node)
        choices = node.get("enum")
        if isinstance(choices, list):
            return f"one of {', '.join(str(choice) for choice in choices)}"
        words = {
            "integer": f"a whole number{_bounds(node)}",
            "number": f"a number{_bounds(node)}",
            "boolean": "true or false",
            "string": f"a text{_length(node)}",
            "array": "a list that is not empty" if node.get("minItems") else "a list",
            "object": "an object",
        }
        return words.get(str(node.get("type")), "something else")

    def _forms(self, node: Document) -> list[Document]:
        forms = node.get("anyOf")
        return [_object(form) for form in forms] if isinstance(forms, list) else []

    def _form(self, node: Document, kind: str) -> Document:
        candidates = [self._shared_form(form) for form in (node, *self._forms(node))]
        return next((form for form in candidates if form.get("type") == kind), {})

    def _shared_form(self, node: Document) -> Document:
        name = str(node.get("$ref", "")).rpartition("/")[2]
        return _object(self._shared.get(name)) if name else node


def _object(value: JsonValue) -> Document:
    return value if isinstance(value, dict) else {}


def _bounds(node: Document) -> str:
    least, most = node.get("minimum"), node.get("maximum")
    if least is None:
        return ""
    return f" of at least {least}" if most is None else f" from {least} to {most}"


def _length(node: Document) -> str:
    examples = node.get("examples")
    if isinstance(examples, list) and examples:
        return f' such as "{examples[0]}"'
    if "pattern" in node:
        return f" that matches {node['pattern']}"
    most = node.get("maxLength")
    bound = f", of at most {most} characters" if most else ""
    return f" that is not empty{bound}" if node.get("minLength") else bound


def _plain(node: Document) -> Document:
    """Without the forms for null."""
    plain: Document = {
        key: _plain_value(value)
        for key, value in node.items()
        if not (key == "default" and value is None)
    }
    forms = plain.get("anyOf")
    if isinstance(forms, list):
        kept = [form for form in forms if form != {"type": "null"}]
        if len(kept) == 1:
            del plain["anyOf"]
            return {**_object(kept[0]), **plain}
        plain["anyOf"] = kept
    return plain


def _plain_value(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return _plain(value)
    return [_plain_value(item) for item in value] if isinstance(value, list) else value
