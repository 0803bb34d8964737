"""`kill -9` in the middle of a dispatch: at random moments, and between any two writes."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Final

import trio

from bench.carillon import Carillon, provider
from bench.children import ChildError, Server, module, warm_server
from bench.client import begin, deliveries, dispatch_counts, provider_log
from bench.report.section import Say
from bench.results import Kill, Killed
from bench.store import fill_store
from bench.workload import CLUSTER, address, dispatch, user_id
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
class KillPlan:
    """What is to be measured; `points` is the number of users while each point is tried.

    `backlog` deliveries are pending in one further start.
    """

    users: int
    kills: int
    points: int
    backlog: int
    concurrency: int
    seed: int


def measure_kill(plan: KillPlan, folder: Path, say: Say) -> Iterator[Killed]:
    """Each policy under random kills and then at each point. Raises ChildError."""
    filled = folder / "filled.db"
    fill_store(filled, plan.users)
    few = folder / "few.db"
    fill_store(few, plan.points)
    for policy in _POLICIES:
        yield _at_random(plan, policy, filled, folder, say)
    if plan.backlog:
        yield _with_backlog(plan, filled, folder)
    for policy in _POLICIES:
        if plan.points:
            yield _at_each_point(plan, policy, few, folder, say)


def _carillon(folder: Path, receiver: Server, policy: str, concurrency: int) -> Carillon:
    section = provider(receiver.url, concurrency, onUnknownOutcome=policy)
    # What a start takes more than another is all that is measured of one.
    return Carillon(folder, {"sms-service": section}, warm=True)


def _provider(folder: Path) -> AbstractContextManager[Server]:
    return warm_server(module("bench.services.slow", _LATENCY), folder / "provider.log")


def _at_random(plan: KillPlan, policy: str, filled: Path, folder: Path, say: Say) -> Killed:
    draw = random.Random(plan.seed)
    share = plan.users * _LATENCY / plan.concurrency / (plan.kills + 1)
    kills: list[Kill] = []
    with _provider(folder) as receiver:
        carillon = _carillon(folder, receiver, policy, plan.concurrency)
        carillon.prepare(filled)
        began = time.monotonic()
        with carillon.started() as service:
            empty = time.monotonic() - began
            first = begin(service.url, _BODY, _KEY)
            _sleep_and_kill(service, draw.uniform(0.5, 1.0) * share)
        for number in range(1, plan.kills):
            with _back(carillon, first, empty, kills) as service:
                say(f"{policy}, kill {number}: {kills[-1].slower:+.2f} s to an empty start")
                _sleep_and_kill(service, draw.uniform(0.5, 1.0) * share)
        with _back(carillon, first, empty, kills) as service:
            found = _ended(service, receiver, first, plan.users)
    title = f"{policy}, at random"
    return replace(found, title=title, kills=kills, concurrency=plan.concurrency)


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


def _with_backlog(plan: KillPlan, filled: Path, folder: Path) -> Killed:
    """The start with so many pending deliveries, beside the same without them."""
    title = f"a start with {plan.backlog:,} pending"
    with _provider(folder) as receiver:
        carillon = _carillon(folder, receiver, "hold", plan.concurrency)
        carillon.prepare(filled)
        empty = _start_and_kill(carillon)
        trio.run(_leave_pending, folder / "carillon.db", plan.backlog)
        slower = _start_and_kill(carillon) - empty
    return Killed(title, plan.backlog, plan.concurrency, kills=[Kill(slower, 0, same=True)])


def _start_and_kill(carillon: Carillon) -> float:
    began = time.monotonic()
    with carillon.started() as service:
        ready = time.monotonic() - began
        os.kill(service.pid, signal.SIGKILL)
    return ready


async def _leave_pending(store: Path, number: int) -> None:
    journal = SqliteJournal(store)
    request = Request(parse_send({**_BODY, "clusters": []})).text()
    async with journal.running():
        await journal.open(NewDispatch("backlog", ["sms"], request))
        for first in range(0, number, _SLICE):
            names = map(user_id, range(first, min(first + _SLICE, number)))
            rows = [Enrolment("sms", f"user/{name}", name) for name in names]
            await journal.enrol("backlog", rows, Progress("sms", Cursor()))


def _at_each_point(plan: KillPlan, policy: str, filled: Path, folder: Path, say: Say) -> Killed:
    whole = Killed(f"{policy}, at each point", plan.points, _FEW)
    for when in ("before", "after"):
        for number in range(1, _MOST_POINTS):
            found = _at_point(plan, policy, filled, folder, (when, number))
            if found is None:
                say(f"{policy}: stopped {when} each of {number - 1} commits")
                break
            whole = whole.with_point(found)
    return whole


def _at_point(
    plan: KillPlan, policy: str, filled: Path, folder: Path, point: tuple[str, int]
) -> Killed | None:
    """What a kill at one point came to; None when the dispatch had ended before."""
    with _provider(folder) as receiver:
        carillon = _carillon(folder, receiver, policy, _FEW)
        carillon.prepare(filled)
        with suppress(ChildError, OSError, HTTPException):  # it may be killed while it starts
            with carillon.started(module("bench.services.stopped", *point)) as service:
                _until_ended(service, begin(service.url, _BODY, _KEY))
                return None
        with carillon.started() as service:
            return _ended(service, receiver, begin(service.url, _BODY, _KEY), plan.points)


def _sleep_and_kill(service: Server, seconds: float) -> None:
    time.sleep(seconds)
    os.kill(service.pid, signal.SIGKILL)


def _until_ended(service: Server, dispatch_id: str) -> Counter[str]:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        state, counts = dispatch_counts(service.url, dispatch_id)
        if state == "done":
            return counts
        time.sleep(_LOOK_EVERY)
    raise ChildError(f"the dispatch has not ended after {_PATIENCE:g} s")


def _ended(service: Server, receiver: Server, dispatch_id: str, users: int) -> Killed:
    """What a dispatch came to, held against what its provider saw."""
    counts = _until_ended(service, dispatch_id)
    log = provider_log(receiver.url)
    got, most_open = log.counts, log.most_open
    doubtful = set(deliveries(service.url, dispatch_id, "in-doubt"))
    sent = set(deliveries(service.url, dispatch_id, "sent"))
    lost = sum(_is_lost(index, sent, doubtful, got) for index in range(users))
    doubled = sum(number - 1 for number in got.values())
    return Killed("", users, 0, lost, doubled, counts["in-doubt"], most_open)


def _is_lost(index: int, sent: set[str], doubtful: set[str], got: Counter[str]) -> bool:
    name = user_id(index)
    return not (name in doubtful or (name in sent and got[address(index)]))
