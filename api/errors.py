"""The one shape of every error answer, and what maps to which status."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from pydantic_core import to_json
from quart import Quart, Response, current_app, g, has_request_context, request
from werkzeug.exceptions import HTTPException

from carillon.api.answers import Answer, response
from carillon.messages.errors import (
    BadCommand,
    CarillonError,
    Conflict,
    FunctionFailed,
    KeyReused,
    NotKnown,
    TryLater,
    Unprocessable,
)

PHRASES: Final[Mapping[int, str]] = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "Payload too large",
    415: "Unsupported media type",
    422: "Unprocessable content",
    431: "Request header fields too large",
    500: "Internal server error",
    501: "Not implemented",
    503: "Service unavailable",
    505: "HTTP version not supported",
}
_EXPECTED: Final[Mapping[type[CarillonError], int]] = {
    BadCommand: 400,
    NotKnown: 404,
    Conflict: 409,
    Unprocessable: 422,
    KeyReused: 422,
    FunctionFailed: 500,
    TryLater: 503,
}
UNEXPECTED: Final = "Something went wrong on our side; the log has the details"
_PLAIN: Final[Mapping[int, str]] = {
    404: "No such route",
    405: "The route does not take this method",
}
"""What the log says, which must not hold a path: that may name a user."""
_MESSAGES: Final[Mapping[int, str]] = {
    408: "The request body did not arrive in time",
    413: "Payload too large",
    415: "The body must be application/json",
}


class UnsupportedMediaType(Exception):
    """The body is of another media type than application/json, or the text says what it is."""


class Unauthorized(Exception):
    """The caller shows no valid API key; the text says what is missing."""


class Forbidden(Exception):
    """The caller may not do this; the text names the scope that may."""


def error_answer(
    status: int,
    message: str,
    headers: Mapping[str, str] | None = None,
    plain: str | None = None,
) -> Response:
    """An error in the shape that every route answers with; `statusCode` is a string.

    The log says the message, or what is `plain` where that holds a value of the request.
    """
    return respond(error(status, message, headers, plain))


def respond(answer: Answer) -> Response:
    """The same answer for the framework; of a refusal the log says why."""
    if has_request_context():  # a request whose Host is none never gets one
        g.why = answer.why
    return response(answer)


def error(
    status: int,
    message: str,
    headers: Mapping[str, str] | None = None,
    plain: str | None = None,
) -> Answer:
    """The same as `error_answer`, without the framework."""
    why = message if plain is None else plain
    return Answer(status, error_body(status, message), headers or {}, why)


def expected(raised: CarillonError) -> Answer:
    """What an error is answered with that is no bug of ours."""
    again = {"Retry-After": str(raised.retry_after)} if isinstance(raised, TryLater) else None
    status = next(of for kind, of in _EXPECTED.items() if isinstance(raised, kind))
    return error(status, str(raised), again, raised.plain)


def error_body(status: int, message: str) -> bytes:
    """The same as bytes, for answers that are given below the application."""
    return to_json(_error(status, message))


def _error(status: int, message: str) -> Mapping[str, str]:
    phrase = PHRASES.get(status, PHRASES[400 if status < HTTPStatus.INTERNAL_SERVER_ERROR else 500])
    return {"statusCode": str(status), "error": phrase, "message": message}


def register(app: Quart) -> None:
    """Make every error of the app answer in this shape."""
    for kind in _EXPECTED:
        app.register_error_handler(kind, _expected)
    app.register_error_handler(UnsupportedMediaType, _unsupported)
    app.register_error_handler(Unauthorized, _unauthorized)
    app.register_error_handler(Forbidden, _forbidden)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _bug)


async def _expected(raised: CarillonError) -> Response:
    return respond(expected(raised))


async def _unsupported(error: UnsupportedMediaType) -> Response:
    return error_answer(415, str(error) or _MESSAGES[415])


async def _unauthorized(error: Unauthorized) -> Response:
    return error_answer(401, str(error), {"WWW-Authenticate": "Bearer"})


async def _forbidden(error: Forbidden) -> Response:
    return error_answer(403, str(error))


async def _http(error: HTTPException) -> Response:
    status = error.code or 500
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    plain = _PLAIN.get(status)
    return error_answer(status, _message(status, error), headers, plain)


async def _bug(error: Exception) -> Response:
    current_app.logger.error("unexpected error", exc_info=error)
    return error_answer(500, UNEXPECTED)


def _message(status: int, error: HTTPException) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return f"Route {request.method}:{request.path} not found"
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{request.path} does not take {request.method}"
    return _MESSAGES.get(status, error.description or PHRASES.get(status, "Error"))
