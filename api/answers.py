"""A JSON answer, its keys in the order in which they were written, and the times in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pydantic_core import to_json
from quart import Response

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered, whichever way it leaves: `body` is JSON.

    `why` is what the log says of a refusal: the message, but for values of the request.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    why: str | None = None


def json_answer(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer of application/json."""
    return response(Answer(status, to_json(body), headers or {}))


def response(answer: Answer) -> Response:
    """The same answer for the framework."""
    return Response(answer.body, answer.status, dict(answer.headers), mimetype=JSON)


def moment(seconds: float) -> str:
    """A time, in seconds since 1970, as answers write it: ISO 8601 in UTC to the millisecond."""
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
