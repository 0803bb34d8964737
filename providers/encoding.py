"""A request's fields as JSON or as a form, and whose they are."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from pydantic_core import PydanticSerializationError, to_json

JSON_HEADERS: Final = {"content-type": "application/json"}
"""Of a request with a `json_body`."""
FORM_HEADERS: Final = {"content-type": "application/x-www-form-urlencoded"}
"""Of a request with a `form_body`."""


def json_body(fields: object) -> bytes:
    """Compact JSON in UTF-8; in ASCII where a text holds half of a surrogate pair."""
    try:
        return to_json(fields)
    except PydanticSerializationError:
        return json.dumps(fields, separators=(",", ":")).encode()


def form_body(fields: Mapping[str, str]) -> bytes:
    """A form in UTF-8; a question mark for half of a surrogate pair."""
    return urlencode(fields, errors="replace").encode()


def basic_authorization(name: str, secret: str) -> str:
    """The header `authorization` of HTTP Basic (RFC 7617); both are ASCII."""
    return f"Basic {b64encode(f'{name}:{secret}'.encode()).decode()}"
