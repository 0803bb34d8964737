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

    def children(self, node: Document, value: JsonValue = None) -> tuple[Document, JsonValue]:
        """The keys an object of this kind has, and what any other key may hold.

        The latter is False where no other key may stand, None where that is open. Where the kind
        depends on the object it is that of this `value`.
        """
        node = self._form(node, "object", value)
        return _object(node.get("properties")), node.get("additionalProperties")

    def items(self, node: Document) -> Document:
        """What the members of a list of this kind are."""
        return _object(self._form(node, "array").get("items"))

    def way(self, place: Place, document: JsonValue) -> list[Document]:
        """What may stand at each step to this place of a document, the place itself last.

        It is empty where the schema says nothing.
        """
        nodes, value = [self.root], document
        for step in place:
            known, others = self.children(nodes[-1], value)
            is_item = isinstance(step, int)
            nodes.append(
                self.items(nodes[-1]) if is_item else _object(known.get(str(step), others))
            )
            value = value_at(value, step)
        return nodes

    def allowed(self, place: Place, document: JsonValue = None) -> str:
        """What may stand at this place, in words."""
        return self._words(self.way(place, document)[-1])

    def is_secret(self, place: Place, document: JsonValue) -> bool:
        """Whether a value at this place may be a secret."""
        return any(node.get("writeOnly") for node in self.way(place, document))

    def _words(self, node: Document) -> str:
        forms = [self._words(form) for form in self._forms(node)]
        if forms:
            return " or ".join(dict.fromkeys(forms))
        node = self._shared_form(node)
        if "const" in node:
            return f'"{node["const"]}"'
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
        forms = node.get("anyOf") or node.get("oneOf") or [node.get("else")]
        return [_object(form) for form in forms if form] if isinstance(forms, list) else []

    def _form(self, node: Document, kind: str, value: JsonValue = None) -> Document:
        node = _chosen(node, value)
        candidates = [self._shared_form(form) for form in (node, *self._forms(node))]
        return next((form for form in candidates if form.get("type") == kind), {})

    def _shared_form(self, node: Document) -> Document:
        name = str(node.get("$ref", "")).rpartition("/")[2]
        return _object(self._shared.get(name)) if name else node


def value_at(value: JsonValue, step: str | int) -> JsonValue:
    """What stands there in an object or a list; None where nothing does."""
    if isinstance(value, dict):
        return value.get(str(step))
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


def _chosen(node: Document, value: JsonValue) -> Document:
    """The form that an object has: by whether it holds a key, or by what that says."""
    held = _object(value)
    if "if" in node:
        required = _object(node["if"]).get("required")
        has_all = isinstance(required, list) and held.keys() >= {*map(str, required)}
        return _chosen(_object(node["then" if has_all else "else"]), value)
    if "discriminator" in node:
        union = _object(node["discriminator"])
        reference = _object(union.get("mapping")).get(str(held.get(str(union["propertyName"]))))
        return {"$ref": reference} if reference else {}
    return node


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
