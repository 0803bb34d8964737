"""A JSON answer, its keys in the order in which they were written, and the times in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic_core import to_json
from quart import Response


def json_answer(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer of application/json."""
    return Response(
        to_json(body), status=status, headers=dict(headers or {}), mimetype="application/json"
    )


def moment(seconds: float) -> str:
    """A time, in seconds since 1970, as answers write it: ISO 8601 in UTC to the millisecond."""
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
