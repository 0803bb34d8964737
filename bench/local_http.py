"""The few requests that the bench makes itself, with what Python has."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from urllib.parse import urlsplit

from bench.tally import Tally, WrongResultError


def post_dispatch(url: str, body: dict[str, object]) -> None:
    """Post to `/send` and wait for the end. Raises WrongResultError when a delivery failed."""
    content = json.dumps(body).encode()
    status, answer = _exchange(url, "POST", "/send", content)
    if (status, answer) != (200, b'{"failures":[]}'):
        raise WrongResultError(f"/send answered {status}: {answer[:500]!r}")


def take_tally(url: str) -> Tally:
    """What the provider's stand-in saw since it was asked last."""
    _, answer = _exchange(url, "GET", "/", b"")
    return Tally(**json.loads(answer))


def _exchange(url: str, method: str, path: str, content: bytes) -> tuple[int, bytes]:
    connection = HTTPConnection(urlsplit(url).netloc)  # no timeout: the answer comes at the end
    try:
        connection.request(method, path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
