"""Several replicas on one store and one provider: is its limit kept, and is nobody told twice.

First they are left in peace; then one of them is killed and another stopped for a while.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.arrivals import WINDOW, window_counts
from bench.carillon import Carillon
from bench.children import ChildError, Server, module, warm_server
from bench.client import begin, deliveries, dispatch_counts, provider_log
from bench.report.section import Say
from bench.results import Replicated
from bench.workload import CLUSTER, address, dispatch, user, user_id
from carillon.stores.mongodb.client import connected
from carillon.stores.mongodb.importer import import_documents
from carillon.stores.mongodb.url import MongoUrl
from tests.neighbours.mongodb import named_or_started, new_database

_LATENCY: Final = 0.02
_PATIENCE: Final = 180.0
_STOPPED: Final = 7.0  # seconds: long enough to be taken for dead
_WARM_UP: Final = 3.0
"""Seconds in which the replicas find out who needs how much of the limit."""


@dataclass(frozen=True, slots=True)
class ReplicasPlan:
    """What is to be measured: `rate` calls a second of all replicas together."""

    users: int
    rate: int
    concurrency: int
    replicas: int


def measure_replicas(plan: ReplicasPlan, folder: Path, say: Say) -> Iterator[Replicated]:
    """Left in peace, then killed and stopped. Raises ChildError."""
    with named_or_started(folder) as store:
        yield _in_peace(plan, store, folder / "each", plan.replicas, say)
        yield _in_peace(plan, store, folder / "one", 1, say)
        yield _in_trouble(plan, store, folder, say)


@dataclass(frozen=True, slots=True)
class _Fleet:
    """Replicas, the provider that all of them call, and the dispatches of the first ones."""

    replicas: Sequence[Server]
    provider: Server
    dispatches: Sequence[str]


def _in_peace(
    plan: ReplicasPlan, store: str, folder: Path, dispatches: int, say: Say
) -> Replicated:
    with _fleet(plan, store, folder, dispatches) as fleet:
        say(f"{plan.replicas} replicas have begun with {dispatches} dispatches")
        _until(lambda: all(map(_is_done, fleet.replicas, fleet.dispatches)))
        return _told(plan, fleet, f"{plan.replicas} replicas, {dispatches} dispatches")


def _in_trouble(plan: ReplicasPlan, store: str, folder: Path, say: Say) -> Replicated:
    with _fleet(plan, store, folder / "trouble", plan.replicas) as fleet:
        killed, stopped, left = fleet.replicas[0], fleet.replicas[1], fleet.replicas[-1]
        time.sleep(plan.users / plan.rate / 4)
        os.kill(killed.pid, signal.SIGKILL)
        os.kill(stopped.pid, signal.SIGSTOP)
        at = time.time()
        say("one replica was killed and one stopped")
        taken_over = _taken_over(left, fleet.dispatches[0], at)
        time.sleep(max(0.0, _STOPPED - (time.time() - at)))
        os.kill(stopped.pid, signal.SIGCONT)
        _until(lambda: all(_is_done(left, one) for one in fleet.dispatches))
        title = "one killed, one stopped"
        return _told(plan, fleet, title, taken_over)


@contextmanager
def _fleet(plan: ReplicasPlan, store: str, folder: Path, dispatches: int) -> Iterator[_Fleet]:
    folder.mkdir()
    with ExitStack() as stack:
        url = stack.enter_context(new_database(store))
        _fill(plan.users, dispatches, url)
        slow = module("bench.services.slow", _LATENCY)
        receiver = stack.enter_context(warm_server(slow, folder / "provider.log"))
        replicas = [
            stack.enter_context(_replica(plan, url, receiver, folder / f"replica-{number}"))
            for number in range(plan.replicas)
        ]
        time.sleep(_WARM_UP)
        begun = [
            begin(one.url, dispatch(clusters=[_part(number)]), f'"{number}"')
            for number, one in enumerate(replicas[:dispatches])
        ]
        yield _Fleet(replicas, receiver, begun)


@contextmanager
def _replica(plan: ReplicasPlan, url: MongoUrl, receiver: Server, folder: Path) -> Iterator[Server]:
    folder.mkdir()
    section = {
        "url": receiver.url,
        "concurrency": plan.concurrency,
        "rate": [{"limit": plan.rate, "per": f"{WINDOW:g}s"}],
    }
    carillon = Carillon(folder, {"sms-service": section}, store=url.text, warm=True)
    carillon.configure()
    with carillon.started() as service:
        yield service


def _part(number: int) -> str:
    return f"{CLUSTER}-{number}"


def _fill(number: int, dispatches: int, url: MongoUrl) -> None:
    users = (user(one, [_part(one % dispatches)]) for one in range(number))
    with connected(url) as client:
        for _ in import_documents(
            client[url.database], "user", json.loads(json.dumps(list(users)))
        ):
            pass


def _taken_over(left: Server, dispatch_id: str, at: float) -> float:
    """After how many seconds more of a dead replica's dispatch was under way."""
    before = _ended(left, dispatch_id)
    # What was under way when it died is no sign of life.
    _until(lambda: _ended(left, dispatch_id) > before + 1)
    return time.time() - at


def _ended(replica: Server, dispatch_id: str) -> int:
    counts = dispatch_counts(replica.url, dispatch_id)[1]
    return counts.total() - counts["pending"]


def _is_done(replica: Server, dispatch_id: str) -> bool:
    return dispatch_counts(replica.url, dispatch_id)[0] == "done"


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise ChildError(f"the dispatches have not ended after {_PATIENCE:g} s")
        time.sleep(0.2)


def _told(
    plan: ReplicasPlan, fleet: _Fleet, title: str, taken_over: float | None = None
) -> Replicated:
    log, teller = provider_log(fleet.provider.url), fleet.replicas[-1]
    doubtful = {
        name for one in fleet.dispatches for name in deliveries(teller.url, one, "in-doubt")
    }
    sent = {name for one in fleet.dispatches for name in deliveries(teller.url, one, "sent")}
    lost = sum(_is_lost(index, sent, doubtful, log.counts) for index in range(plan.users))
    arrivals = sorted(log.arrivals)
    return Replicated(
        title=title,
        users=plan.users,
        rate=plan.rate,
        concurrency=plan.concurrency,
        most_in_a_window=max(window_counts(arrivals)),
        most_open=log.most_open,
        used=_used(arrivals, plan.rate),
        lost=lost,
        doubled=sum(number - 1 for number in log.counts.values()),
        in_doubt=len(doubtful),
        taken_over=taken_over,
    )


def _used(arrivals: Sequence[float], rate: int) -> float:
    """What share of the rate was used, from one window after the first call to the last."""
    busy = [at for at in arrivals if at >= arrivals[0] + WINDOW]
    seconds = busy[-1] - arrivals[0] - WINDOW if busy else 0.0
    return len(busy) / (seconds * rate) if seconds else 0.0


def _is_lost(index: int, sent: set[str], doubtful: set[str], got: Counter[str]) -> bool:
    name = user_id(index)
    return not (name in doubtful or (name in sent and got[address(index)]))
