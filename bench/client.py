"""The requests that the bench makes itself, with what Python has."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from typing import Any, Final
from urllib.parse import urlsplit

import trio

from bench.workload import Tally, WrongResultError, address, user_id

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


_TIMEOUT: Final = 30.0


def begin(url: str, body: Mapping[str, object], key: str) -> str:
    """Post a dispatch that nobody waits for, or meet the one with this key; its id."""
    headers = {"Idempotency-Key": key, "Prefer": "respond-async"}
    status, answer, given = _ask(url, "POST", "/send", json.dumps(body), headers)
    if status not in {200, 202}:
        raise WrongResultError(f"/send answered {status}: {answer!r}")
    return given["dispatch-id"]


def dispatch_counts(url: str, dispatch_id: str) -> tuple[str, Counter[str]]:
    """State and counts of a dispatch."""
    _, answer, _ = _ask(url, "GET", f"/dispatches/{dispatch_id}")
    return answer["state"], Counter(answer["counts"])


def deliveries(url: str, dispatch_id: str, outcome: str) -> Iterator[str]:
    """The users whose deliveries ended so."""
    cursor = ""
    while True:
        path = f"/dispatches/{dispatch_id}/deliveries?outcome={outcome}&limit=1000&cursor={cursor}"
        _, page, _ = _ask(url, "GET", path)
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
    """What `bench.services.slow` has seen."""
    _, answer, _ = _ask(url, "GET", "/")
    return ProviderLog(Counter(answer["counts"]), answer["most_open"], answer["arrivals"])


@dataclass(frozen=True, slots=True)
class Ended:
    """What dispatches came to, held against what their provider saw."""

    lost: int
    doubled: int
    in_doubt: int
    log: ProviderLog


def ended(url: str, dispatches: Sequence[str], provider_url: str, users: int) -> Ended:
    """The same of dispatches that have ended, to users 0 to `users - 1` together.

    A user is lost who is neither in doubt nor said to be sent to, nor got a message then.
    """
    log = provider_log(provider_url)
    doubtful = {name for one in dispatches for name in deliveries(url, one, "in-doubt")}
    sent = {name for one in dispatches for name in deliveries(url, one, "sent")}
    lost = sum(
        not (name in doubtful or (name in sent and log.counts[address(index)]))
        for index, name in enumerate(map(user_id, range(users)))
    )
    doubled = sum(number - 1 for number in log.counts.values())
    return Ended(lost, doubled, len(doubtful), log)


def _ask(
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


class Posted:
    """How many dispatches are under way: the callers of the others were answered."""

    def __init__(self) -> None:
        self.open = 0

    async def post(self, url: str, body: dict[str, object]) -> None:
        """Post one and wait. Raises WrongResultError when a delivery failed."""
        await trio.to_thread.run_sync(partial(post_dispatch, url, body), abandon_on_cancel=True)
        self.open -= 1


@asynccontextmanager
async def posted(url: str, *bodies: dict[str, object]) -> AsyncGenerator[Posted]:
    """Post dispatches and leave the body when all are answered; an error in one ends both."""
    dispatches = Posted()
    async with trio.open_nursery() as nursery:
        for body in bodies:
            dispatches.open += 1
            nursery.start_soon(dispatches.post, url, body)
        yield dispatches
