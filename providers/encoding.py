"""A request's fields as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from pydantic_core import PydanticSerializationError, to_json

JSON_HEADERS: Final = {"content-type": "application/json"}
"""Of a request with a `json_body`."""


def json_body(fields: Mapping[str, object]) -> bytes:
    """Compact JSON in UTF-8; in ASCII where a text holds half of a surrogate pair."""
    try:
        return to_json(fields)
    except PydanticSerializationError:
        return json.dumps(fields, separators=(",", ":")).encode()
