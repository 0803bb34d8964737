"""`kill -9` in the middle of a dispatch: at random moments, and between any two writes."""

from __future__ import annotations

import argparse
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Final

import trio

from bench.carillon import Carillon, provider
from bench.children import ChildError, Server, module, warm_server
from bench.client import Ended, begin, dispatch_counts, ended
from bench.part import Options, Part, number
from bench.section import Bar, Row, Say, Section, table
from bench.store import fill_store
from bench.workload import CLUSTER, dispatch, user_id
from carillon.dispatches.snapshot import Request
from carillon.messages.commands import parse_send
from carillon.messages.model import Cursor
from carillon.messages.ports.journal import Enrolment, NewDispatch, Progress
from carillon.stores.sqlite.journal.journal import SqliteJournal

_LATENCY: Final = 0.02
_PATIENCE: Final = 120.0
_LOOK_EVERY: Final = 0.02
_FEW: Final = 3  # calls open at once while the points between writes are tried
_MOST_POINTS: Final = 200
_SLICE: Final = 1000
_KEY: Final = '"the-only-one"'
_POLICIES: Final = ("hold", "retry")
_BODY: Final = dispatch(clusters=[CLUSTER])


@dataclass(frozen=True, slots=True)
class Kill:
    """One random kill: what the next start took longer than one with an empty journal, in seconds.

    `in_doubt` deliveries were found then; `same` tells whether the caller met its dispatch again.
    """

    slower: float
    in_doubt: int
    same: bool


@dataclass(frozen=True, slots=True)
class Killed:
    """A dispatch whose process was killed: what became of its deliveries.

    `worst` is the most that one kill at a point left in doubt, or had doubled.
    """

    title: str
    users: int
    concurrency: int
    lost: int = 0
    doubled: int = 0
    in_doubt: int = 0
    most_open: int = 0
    kills: Sequence[Kill] = ()
    points: int = 0
    worst: int = 0

    def with_end(self, end: Ended) -> Killed:
        """This and what one more dispatch came to."""
        return replace(
            self,
            lost=self.lost + end.lost,
            doubled=self.doubled + end.doubled,
            in_doubt=self.in_doubt + end.in_doubt,
            most_open=max(self.most_open, end.log.most_open),
        )

    def with_point(self, end: Ended) -> Killed:
        """The same, where a kill at a point came before."""
        worst = max(self.worst, end.doubled, end.in_doubt)
        return replace(self.with_end(end), points=self.points + 1, worst=worst)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=number, default=4000, help="users of the dispatch")
    parser.add_argument("--kills", type=number, default=5, help="kills at random moments")
    parser.add_argument(
        "--points", type=int, default=12, help="users while each point is tried; 0 leaves it out"
    )
    parser.add_argument(
        "--backlog", type=int, default=100_000, help="pending deliveries of one more start"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the random moments")


def _measure(options: Options, folder: Path, say: Say) -> Section:
    """Each policy under random kills and then at each point."""
    filled, few = folder / "filled.db", folder / "few.db"
    fill_store(filled, options.users)
    fill_store(few, options.points)
    runs = [_at_random(options, policy, filled, folder, say) for policy in _POLICIES]
    if options.backlog:
        runs.append(_with_backlog(options, filled, folder))
    if options.points:
        points = (_at_each_point(options, policy, few, folder, say) for policy in _POLICIES)
        runs.extend(points)
    return _section(runs)


def _carillon(folder: Path, receiver: Server, policy: str, concurrency: int) -> Carillon:
    section = provider(receiver.url, concurrency, onUnknownOutcome=policy)
    # What a start takes more than another is all that is measured of one.
    return Carillon(folder, {"sms-service": section}, warm=True)


def _provider(folder: Path) -> AbstractContextManager[Server]:
    return warm_server(module("bench.services.slow", _LATENCY), folder / "provider.log")


def _at_random(options: Options, policy: str, filled: Path, folder: Path, say: Say) -> Killed:
    draw = random.Random(options.seed)
    share = options.users * _LATENCY / options.concurrency / (options.kills + 1)
    kills: list[Kill] = []
    with _provider(folder) as receiver:
        carillon = _carillon(folder, receiver, policy, options.concurrency)
        carillon.prepare(filled)
        began = time.monotonic()
        with carillon.started() as service:
            empty = time.monotonic() - began
            first = begin(service.url, _BODY, _KEY)
            _sleep_and_kill(service, draw.uniform(0.5, 1.0) * share)
        for nth in range(1, options.kills):
            with _back(carillon, first, empty, kills) as service:
                say(f"{policy}, kill {nth}: {kills[-1].slower:+.2f} s to an empty start")
                _sleep_and_kill(service, draw.uniform(0.5, 1.0) * share)
        with _back(carillon, first, empty, kills) as service:
            end = _ended(service, receiver, first, options.users)
    title = f"{policy}, at random"
    return Killed(title, options.users, options.concurrency, kills=kills).with_end(end)


@contextmanager
def _back(
    carillon: Carillon, dispatch_id: str, empty: float, kills: list[Kill]
) -> Iterator[Server]:
    """The service after one more kill, which is noted."""
    began, before = time.monotonic(), sum(kill.in_doubt for kill in kills)
    with carillon.started() as service:
        slower = time.monotonic() - began - empty
        again = begin(service.url, _BODY, _KEY)
        in_doubt = dispatch_counts(service.url, dispatch_id)[1]["in-doubt"]
        kills.append(Kill(slower, in_doubt - before, again == dispatch_id))
        yield service


def _with_backlog(options: Options, filled: Path, folder: Path) -> Killed:
    """The start with so many pending deliveries, beside the same without them."""
    title = f"a start with {options.backlog:,} pending"
    with _provider(folder) as receiver:
        carillon = _carillon(folder, receiver, "hold", options.concurrency)
        carillon.prepare(filled)
        empty = _start_and_kill(carillon)
        trio.run(_leave_pending, folder / "carillon.db", options.backlog)
        slower = _start_and_kill(carillon) - empty
    return Killed(title, options.backlog, options.concurrency, kills=[Kill(slower, 0, same=True)])


def _start_and_kill(carillon: Carillon) -> float:
    began = time.monotonic()
    with carillon.started() as service:
        ready = time.monotonic() - began
        os.kill(service.pid, signal.SIGKILL)
    return ready


async def _leave_pending(store: Path, pending: int) -> None:
    journal = SqliteJournal(store)
    request = Request(parse_send({**_BODY, "clusters": []})).text()
    async with journal.running():
        await journal.open(NewDispatch("backlog", ["sms"], request))
        for first in range(0, pending, _SLICE):
            names = map(user_id, range(first, min(first + _SLICE, pending)))
            rows = [Enrolment("sms", f"user/{name}", name) for name in names]
            await journal.enrol("backlog", rows, Progress("sms", Cursor()))


def _at_each_point(options: Options, policy: str, filled: Path, folder: Path, say: Say) -> Killed:
    whole = Killed(f"{policy}, at each point", options.points, _FEW)
    for when in ("before", "after"):
        for nth in range(1, _MOST_POINTS):
            found = _at_point(options, policy, filled, folder, (when, nth))
            if found is None:
                say(f"{policy}: stopped {when} each of {nth - 1} commits")
                break
            whole = whole.with_point(found)
    return whole


def _at_point(
    options: Options, policy: str, filled: Path, folder: Path, point: tuple[str, int]
) -> Ended | None:
    """What a kill at one point came to; None when the dispatch had ended before."""
    with _provider(folder) as receiver:
        carillon = _carillon(folder, receiver, policy, _FEW)
        carillon.prepare(filled)
        with suppress(ChildError, OSError, HTTPException):  # it may be killed while it starts
            with carillon.started(module("bench.services.stopped", *point)) as service:
                _until_ended(service, begin(service.url, _BODY, _KEY))
                return None
        with carillon.started() as service:
            return _ended(service, receiver, begin(service.url, _BODY, _KEY), options.points)


def _sleep_and_kill(service: Server, seconds: float) -> None:
    time.sleep(seconds)
    os.kill(service.pid, signal.SIGKILL)


def _until_ended(service: Server, dispatch_id: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if dispatch_counts(service.url, dispatch_id)[0] == "done":
            return
        time.sleep(_LOOK_EVERY)
    raise ChildError(f"the dispatch has not ended after {_PATIENCE:g} s")


def _ended(service: Server, receiver: Server, dispatch_id: str, users: int) -> Ended:
    _until_ended(service, dispatch_id)
    return ended(service.url, [dispatch_id], receiver.url, users)


def _section(runs: Sequence[Killed]) -> Section:
    """What was lost, doubled and left in doubt, and how soon the service was back."""
    slowest = "slowest start, s more than an empty one"
    rows: list[Row] = [
        {
            "kills": run.title,
            "users": run.users,
            "number": run.points or len(run.kills),
            "lost": run.lost,
            "doubled": run.doubled,
            "in doubt": run.in_doubt,
            "most open calls": run.most_open,
            slowest: max((one.slower for one in run.kills), default=None),
        }
        for run in runs
    ]
    kills = [one for run in runs for one in run.kills]
    held = sum(run.doubled for run in runs if run.title.startswith("hold"))
    bars = [
        Bar("lost", sum(run.lost for run in runs), "at most", 0),
        Bar("doubled under hold", held, "at most", 0),
        *(_bar(run) for run in runs if len(run.kills) > 1 or run.points),
        Bar("another dispatch for the same key", sum(not one.same for one in kills), "at most", 0),
        Bar("start beside an empty one", max(one.slower for one in kills), "at most", 1, " s"),
    ]
    return Section("kill -9 in the middle of a dispatch", [table(rows)], runs, bars)


def _bar(run: Killed) -> Bar:
    """A kill leaves no more in doubt, or doubled, than there were calls open."""
    if run.points:
        name = f"{run.title}: in doubt or doubled by one kill"
        return Bar(name, run.worst, "at most", run.concurrency)
    name = f"{run.title}: in doubt or doubled"
    most = run.concurrency * len(run.kills)
    return Bar(name, max(run.in_doubt, run.doubled), "at most", most)


PART: Final = Part("kill", "a process killed in the middle of a dispatch", _options, _measure)
