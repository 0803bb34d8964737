"""A JSON answer, its keys in the order in which they were written."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_core import to_json
from quart import Response


def json_answer(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer of application/json."""
    return Response(
        to_json(body), status=status, headers=dict(headers or {}), mimetype="application/json"
    )
