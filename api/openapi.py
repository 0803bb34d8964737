"""The OpenAPI document of the service: `openapi.json`, with what only the code knows filled in.

A new route is described in `openapi.json`; a test finds those that are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import Final, get_args

from pydantic_core import from_json

from carillon.messages.commands import SendCommand
from carillon.messages.model import CHANNELS, UNSENT, Document, JsonValue, Outcome, Reason

UNPREFIXED: Final = ("/-/", "/documentation")
"""The paths that stay where they are under a `SERVICE_PREFIX`."""


def openapi_document(version: str, prefix: str, *, has_keys: bool | None = None) -> Document:
    """The document of a service of this version, whose business routes stand under a prefix.

    It tells what callers have to show with API keys or without; both when neither is said.
    """
    document = child(from_json(files("carillon.api").joinpath("openapi.json").read_bytes()))
    child(document["info"])["version"] = version
    paths: Document = {
        path if path == "/" or path.startswith(UNPREFIXED) else prefix + path: item
        for path, item in child(document["paths"]).items()
    }
    if prefix:
        begin = child(child(paths["/"])["get"])
        paths[prefix] = {"get": {**begin, "operationId": "beginUnderPrefix"}}
    document["paths"] = paths
    schemas = child(child(document["components"])["schemas"])
    if has_keys is not None:
        _settle_security(document, "ApiKey" if has_keys else "OperatorToken")
    schemas["SendCommand"] = _send_command(child(schemas["SendCommand"]))
    for name, words in {
        "Channel": CHANNELS,
        "Outcome": get_args(Outcome),
        "UnsentOutcome": UNSENT,
        "Reason": get_args(Reason),
    }.items():
        child(schemas[name])["enum"] = _texts(words)
    return document


def _settle_security(document: Document, scheme: str) -> None:
    """Keep of the schemes only this one; a route that can do without any asks for none then."""
    schemes = child(child(document["components"])["securitySchemes"])
    for name in schemes.keys() - {scheme}:
        del schemes[name]
    for item in child(document["paths"]).values():
        for operation in map(child, child(item).values()):
            listed = operation["security"]
            ways = listed if isinstance(listed, list) else []
            operation["security"] = [way for way in ways if scheme in child(way)]


def child(value: JsonValue) -> Document:
    """A part of a document that is an object; an empty one where nothing is."""
    return value if isinstance(value, dict) else {}


def _send_command(described: Document) -> Document:
    """The types of the command's model under the words of the file."""
    model = child(SendCommand.model_json_schema(by_alias=True))
    properties: Document = {
        name: {**_type(child(field)), **child(child(described["properties"]).get(name))}
        for name, field in child(model["properties"]).items()
    }
    return {**described, "type": "object", "properties": properties, "required": model["required"]}


def _type(field: Document) -> Document:
    """What callers should write: that null is let pass too would only clutter their clients."""
    forms = field.get("anyOf")
    if isinstance(forms, list):
        field = next(child(form) for form in forms if form != {"type": "null"})
    return {key: value for key, value in field.items() if key not in {"title", "default"}}


def _texts(words: Iterable[str]) -> list[JsonValue]:
    return list(words)
