"""Several replicas on one store and one provider: is its limit kept, and is nobody told twice.

First they are left in peace; then one of them is killed and another stopped for a while.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.arrivals import WINDOW, window_counts
from bench.carillon import Carillon
from bench.children import ChildError, Server, module, warm_server
from bench.client import begin, dispatch_counts, ended
from bench.part import Options, Part, number
from bench.section import Bar, Row, Say, Section, table
from bench.workload import CLUSTER, dispatch, user
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
class Replicated:
    """Dispatches of several replicas that share the limits of one provider.

    `used` is the share of the rate that was used; `taken_over` is in seconds, until more of a dead
    replica's dispatch was under way.
    """

    title: str
    users: int
    rate: int
    concurrency: int
    most_in_a_window: int
    most_open: int
    used: float
    lost: int
    doubled: int
    in_doubt: int
    taken_over: float | None = None


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=number, default=10_000, help="users of all dispatches")
    parser.add_argument("--rate", type=number, default=500, help="calls a second in all")
    parser.add_argument("--replicas", type=number, default=3, help="processes on one store")
    parser.set_defaults(concurrency=30)


def _measure(options: Options, folder: Path, say: Say) -> Section:
    """Left in peace, then killed and stopped."""
    with named_or_started(folder) as store:
        return _section(
            [
                _in_peace(options, store, folder / "each", options.replicas, say),
                _in_peace(options, store, folder / "one", 1, say),
                _in_trouble(options, store, folder, say),
            ]
        )


@dataclass(frozen=True, slots=True)
class _Fleet:
    """Replicas, the provider that all of them call, and the dispatches of the first ones."""

    replicas: Sequence[Server]
    provider: Server
    dispatches: Sequence[str]


def _in_peace(options: Options, store: str, folder: Path, dispatches: int, say: Say) -> Replicated:
    with _fleet(options, store, folder, dispatches) as fleet:
        say(f"{options.replicas} replicas have begun with {dispatches} dispatches")
        _until(lambda: all(map(_is_done, fleet.replicas, fleet.dispatches)))
        return _told(options, fleet, f"{options.replicas} replicas, {dispatches} dispatches")


def _in_trouble(options: Options, store: str, folder: Path, say: Say) -> Replicated:
    with _fleet(options, store, folder / "trouble", options.replicas) as fleet:
        killed, stopped, left = fleet.replicas[0], fleet.replicas[1], fleet.replicas[-1]
        time.sleep(options.users / options.rate / 4)
        os.kill(killed.pid, signal.SIGKILL)
        os.kill(stopped.pid, signal.SIGSTOP)
        at = time.time()
        say("one replica was killed and one stopped")
        taken_over = _taken_over(left, fleet.dispatches[0], at)
        time.sleep(max(0.0, _STOPPED - (time.time() - at)))
        os.kill(stopped.pid, signal.SIGCONT)
        _until(lambda: all(_is_done(left, one) for one in fleet.dispatches))
        title = "one killed, one stopped"
        return _told(options, fleet, title, taken_over)


@contextmanager
def _fleet(options: Options, store: str, folder: Path, dispatches: int) -> Iterator[_Fleet]:
    folder.mkdir()
    with ExitStack() as stack:
        url = stack.enter_context(new_database(store))
        _fill(options.users, dispatches, url)
        slow = module("bench.services.slow", _LATENCY)
        receiver = stack.enter_context(warm_server(slow, folder / "provider.log"))
        replicas = [
            stack.enter_context(_replica(options, url, receiver, folder / f"replica-{number}"))
            for number in range(options.replicas)
        ]
        time.sleep(_WARM_UP)
        begun = [
            begin(one.url, dispatch(clusters=[_part(number)]), f'"{number}"')
            for number, one in enumerate(replicas[:dispatches])
        ]
        yield _Fleet(replicas, receiver, begun)


@contextmanager
def _replica(options: Options, url: MongoUrl, receiver: Server, folder: Path) -> Iterator[Server]:
    folder.mkdir()
    section = {
        "url": receiver.url,
        "concurrency": options.concurrency,
        "rate": [{"limit": options.rate, "per": f"{WINDOW:g}s"}],
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
    options: Options, fleet: _Fleet, title: str, taken_over: float | None = None
) -> Replicated:
    end = ended(fleet.replicas[-1].url, fleet.dispatches, fleet.provider.url, options.users)
    arrivals = sorted(end.log.arrivals)
    return Replicated(
        title=title,
        users=options.users,
        rate=options.rate,
        concurrency=options.concurrency,
        most_in_a_window=max(window_counts(arrivals)),
        most_open=end.log.most_open,
        used=_used(arrivals, options.rate),
        lost=end.lost,
        doubled=end.doubled,
        in_doubt=end.in_doubt,
        taken_over=taken_over,
    )


def _used(arrivals: Sequence[float], rate: int) -> float:
    """What share of the rate was used, from one window after the first call to the last."""
    busy = [at for at in arrivals if at >= arrivals[0] + WINDOW]
    seconds = busy[-1] - arrivals[0] - WINDOW if busy else 0.0
    return len(busy) / (seconds * rate) if seconds else 0.0


def _section(runs: Sequence[Replicated]) -> Section:
    """Whether the limits held over all replicas, and what became of the deliveries."""
    rows: list[Row] = [
        {
            "replicas": run.title,
            "users": run.users,
            "most in a second": f"{run.most_in_a_window} of {run.rate}",
            "most open calls": f"{run.most_open} of {run.concurrency}",
            "share of the rate used": run.used,
            "lost": run.lost,
            "doubled": run.doubled,
            "in doubt": run.in_doubt,
            "taken over after s": run.taken_over,
        }
        for run in runs
    ]
    bars = _bars(runs)
    return Section("Several replicas on one store", [table(rows)], runs, bars)


def _bars(runs: Sequence[Replicated]) -> list[Bar]:
    bars = [
        Bar("lost", sum(run.lost for run in runs), "at most", 0),
        Bar("doubled", sum(run.doubled for run in runs), "at most", 0),
    ]
    for run in runs:
        bars += [
            Bar(f"{run.title}: calls in a second", run.most_in_a_window, "at most", run.rate),
            Bar(f"{run.title}: open calls", run.most_open, "at most", run.concurrency),
        ]
        if run.taken_over is None:
            bars.append(Bar(f"{run.title}: share of the rate used", run.used, "at least", 0.95))
        else:
            bars += [
                Bar(f"{run.title}: taken over", run.taken_over, "at most", 10, " s"),
                Bar(f"{run.title}: in doubt", run.in_doubt, "at most", run.concurrency),
            ]
    return bars


PART: Final = Part("replicas", "several replicas, one killed and one stopped", _options, _measure)
