"""The few requests that the bench makes itself, with what Python has."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Final
from urllib.parse import urlsplit

from bench.tally import Tally, WrongResultError

_DEPTH: Final = 'carillon_mailbox_depth{channel="%s"}'


def post_dispatch(url: str, body: dict[str, object]) -> None:
    """Post to `/send` and wait for the end. Raises WrongResultError when a delivery failed."""
    status, answer = _exchange(url, "POST", "/send", json.dumps(body).encode())
    if (status, answer) != (200, b'{"failures":[]}'):
        raise WrongResultError(f"/send answered {status}: {answer[:500]!r}")


def patch_provider(url: str, token: str, name: str, settings: dict[str, object]) -> None:
    """Tune a provider, by the operator token.

    Raises WrongResultError unless the service says that it is in force.
    """
    patch = json.dumps(settings).encode()
    status, answer = _exchange(url, "PATCH", f"/providers/{name}", patch, token)
    if status != 200:
        raise WrongResultError(
            f"PATCH /providers/{name} answered {status}, so the provider was not tuned while the "
            f"service ran: {answer[:500]!r}"
        )


def mailbox_depth(url: str, channel: str) -> int:
    """How many deliveries wait in a channel's mailbox. Raises WrongResultError when none tells."""
    _, answer = _exchange(url, "GET", "/-/metrics", b"")
    gauge = _DEPTH % channel
    for line in answer.decode().splitlines():
        if line.startswith(gauge):
            return int(float(line.removeprefix(gauge)))
    raise WrongResultError(f"/-/metrics has no {gauge}")


def take_tally(url: str) -> Tally:
    """What the provider's stand-in saw since it was asked last."""
    return Tally(**json.loads(_exchange(url, "GET", "/", b"")[1]))


def take_arrivals(url: str) -> list[float]:
    """When messages came to a provider's stand-in that keeps that, since it was asked last."""
    arrivals: list[float] = json.loads(_exchange(url, "GET", "/", b"")[1])
    return arrivals


def count_messages(url: str) -> int:
    """How many messages came to a provider's stand-in so far."""
    return int(_exchange(url, "GET", "/count", b"")[1])


def _exchange(
    url: str, method: str, path: str, content: bytes, token: str | None = None
) -> tuple[int, bytes]:
    connection = HTTPConnection(urlsplit(url).netloc)  # no timeout: the answer comes at the end
    try:
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
