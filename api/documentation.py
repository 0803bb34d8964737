"""`/documentation/`: the OpenAPI document, and the same as a page for people.

The page needs nothing from elsewhere and no script.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.resources import files
from shlex import quote
from typing import Final

from jinja2 import Environment, Template
from markupsafe import Markup, escape
from quart import Blueprint, Response, request

from carillon.api.access import Gate, needs
from carillon.api.answers import json_answer
from carillon.api.openapi import child, openapi_document
from carillon.messages.model import Document, JsonValue

_PLACE: Final = "/documentation/"
_CODE: Final = re.compile(r"`([^`]+)`")
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def documentation_routes(version: str, prefix: str, gate: Gate) -> Blueprint:
    """The page and its document, for an app to mount; they tell what the gate asks for."""
    routes = Blueprint("documentation", __name__, url_prefix=_PLACE.rstrip("/"))

    @routes.get("/json", provide_automatic_options=False)
    @needs("read", open_without_keys=True)
    async def document() -> Response:
        return json_answer(openapi_document(version, prefix, has_keys=gate.asks_for_keys))

    @routes.get("", provide_automatic_options=False)
    @routes.get("/", provide_automatic_options=False)
    @needs("read", open_without_keys=True)
    async def page() -> Response:
        told = openapi_document(version, prefix, has_keys=gate.asks_for_keys)
        html = render(told, f"{request.scheme}://{request.host}")
        headers = {"Content-Security-Policy": _POLICY}
        return Response(html, headers=headers, mimetype="text/html")

    return routes


def front_door(prefix: str) -> Blueprint:
    """The way from where people begin, with the prefix of the business routes or without."""
    routes = Blueprint("front_door", __name__)

    @needs("read", open_without_keys=True)
    async def lead() -> Response:
        return Response(b"", 302, {"Location": _PLACE})

    for place in dict.fromkeys(("/", f"{prefix}/")):
        routes.add_url_rule(place, "lead", lead, methods=["GET"], provide_automatic_options=False)
    return routes


def render(document: Document, origin: str) -> str:
    """The page of an OpenAPI document; `origin` is where its example calls go."""
    return _template(document).render(api=document, origin=origin)


def _template(document: Document) -> Template:
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        prose=_prose,
        type=_type,
        json=_json,
        shell=quote,
        target=_target(document),
        anchor=lambda text: re.sub(r"[^A-Za-z0-9]+", "-", str(text)).strip("-"),
    )
    return environment.from_string(
        files("carillon.api").joinpath("documentation.html").read_text("utf-8")
    )


def _prose(text: str) -> Markup:
    """Paragraphs and `code`, the two things that the descriptions use of Markdown."""
    paragraphs = [_CODE.sub(r"<code>\1</code>", str(escape(part))) for part in text.split("\n\n")]
    return Markup("".join(f"<p>{part}</p>" for part in paragraphs))  # noqa: S704 - escaped above


def _json(value: JsonValue) -> str:
    """JSON on one line, objects with a line for each of their keys."""
    if not isinstance(value, dict) or len(value) == 1:
        return _json_line(value)
    lines = (f"  {json.dumps(key)}: {_json_line(part)}" for key, part in value.items())
    return "{{\n{}\n}}".format(",\n".join(lines))


def _json_line(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False)


def _target(document: Document) -> Callable[[JsonValue], Document]:
    def target(value: JsonValue) -> Document:
        """The object itself, or what its `$ref` points to."""
        reference = child(value).get("$ref")
        if not isinstance(reference, str):
            return child(value)
        found = document
        for step in reference.removeprefix("#/").split("/"):
            found = child(found[step])
        return found

    return target


def _type(schema: JsonValue) -> Markup:
    """What a schema asks for, in words; other schemas as links."""
    node = child(schema)
    forms, kinds = node.get("anyOf"), node.get("type")
    if isinstance(reference := node.get("$ref"), str):
        name = reference.rpartition("/")[2]
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    if isinstance(forms, list):
        return Markup(" or ").join(_type(form) for form in forms)
    if isinstance(kinds, list):
        return Markup(" or ").join(_type({**node, "type": kind}) for kind in kinds)
    if isinstance(words := node.get("enum"), list):
        return Markup(" · ").join(Markup("<code>{}</code>").format(word) for word in words)
    if kinds == "array":
        return Markup("list of {}").format(_type(node.get("items")))
    described = node.get("format") if kinds == "string" and "format" in node else kinds
    return Markup("{}{}").format(described or "anything", _bounds(node))


def _bounds(node: Document) -> str:
    least, most = node.get("minimum"), node.get("maximum")
    if least is not None and most is not None:
        return f", {least} to {most}"
    return "" if least is None else f", at least {least}"
