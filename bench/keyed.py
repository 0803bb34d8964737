"""Asynchronous dispatches with an idempotency key, and what is asked of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from bench.tally import WrongResultError

_TIMEOUT = 30.0


def begin(url: str, body: Mapping[str, object], key: str) -> str:
    """Post a dispatch that nobody waits for, or meet the one with this key; its id."""
    headers = {"Idempotency-Key": key, "Prefer": "respond-async"}
    status, answer, given = _exchange(url, "POST", "/send", json.dumps(body), headers)
    if status not in {200, 202}:
        raise WrongResultError(f"/send answered {status}: {answer!r}")
    return given["dispatch-id"]


def dispatch_counts(url: str, dispatch_id: str) -> tuple[str, Counter[str]]:
    """State and counts of a dispatch."""
    _, answer, _ = _exchange(url, "GET", f"/dispatches/{dispatch_id}")
    return answer["state"], Counter(answer["counts"])


def deliveries(url: str, dispatch_id: str, outcome: str) -> Iterator[str]:
    """The users whose deliveries ended so."""
    cursor = ""
    while True:
        path = f"/dispatches/{dispatch_id}/deliveries?outcome={outcome}&limit=1000&cursor={cursor}"
        _, page, _ = _exchange(url, "GET", path)
        yield from (one["userId"] for one in page["deliveries"])
        if page["next"] is None:
            return
        cursor = page["next"]


@dataclass(frozen=True, slots=True)
class ProviderLog:
    """How often each receiver got a message, how many calls were open, and when each came.

    Times are in seconds since 1970.
    """

    counts: Counter[str]
    most_open: int
    arrivals: Sequence[float]


def provider_log(url: str) -> ProviderLog:
    """What `bench.slow_provider` has seen."""
    _, answer, _ = _exchange(url, "GET", "/")
    return ProviderLog(Counter(answer["counts"]), answer["most_open"], answer["arrivals"])


def _exchange(
    url: str, method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT)
    try:
        everything = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, body, everything)
        response = connection.getresponse()
        return response.status, json.loads(response.read()), _lower(response.headers.items())
    finally:
        connection.close()


def _lower(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}
