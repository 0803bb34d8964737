"""What the command line shows a service so that it is let in: an API key, or the operator token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import httpx

from carillon.access.operator_token import read_token
from carillon.settings import ClientSettings

Headers = Mapping[str, str]


def authorized(
    service: ClientSettings, send: Callable[[Headers], httpx.Response]
) -> httpx.Response:
    """The answer to a request, which is sent with each token that it could be until one is taken.

    The files are read each time: a service that starts again draws another token. Raises as
    `send` does.
    """
    if service.api_key is not None:
        return send(_bearer(service.api_key.reveal()))
    tokens = [*_tokens(service)]
    answer = send(_bearer(tokens[0]) if tokens else {})
    for token in tokens[1:]:
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            answer = send(_bearer(token))
    return answer


def explanation(service: ClientSettings) -> str:
    """Which credential the service rejected, and where a better one may be found."""
    if service.api_key is not None:
        return "the key that is shown is in CARILLON_API_KEY"
    if not service.token_files:
        return "no key is in CARILLON_API_KEY"
    looked_at = ", ".join(f"{file.absolute()} {_state(file)}" for file in service.token_files)
    return (
        f"no key is in CARILLON_API_KEY, and no operator token was found that fits: {looked_at}. "
        "Run this as the service's user with the service's STORE_URL, or name the file of its "
        "token in OPERATOR_TOKEN_FILE"
    )


def _state(file: Path) -> str:
    try:
        token = read_token(file)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if token is not None:
        return "holds another one"
    return "holds none" if file.exists() else "is not there"


def _tokens(service: ClientSettings) -> Iterator[str]:
    for file in service.token_files:
        with suppress(OSError):  # `explanation` reports it if it was needed
            if token := read_token(file):
                yield token


def _bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}
