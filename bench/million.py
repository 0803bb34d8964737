"""A dispatch to a million users, and small ones of high priority while it is under way."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from bench.carillon import Carillon, provider
from bench.children import ChildError, Server, module, server
from bench.client import Posted, count_messages, post_dispatch, posted, take_tally
from bench.load import Bodies, Load, at_pace
from bench.machine import MB, Bystanders, Cost, Meter, cpu_seconds, memory
from bench.part import Options, Part, amount, number
from bench.section import Bar, Row, Say, Section, table
from bench.store import kept_store
from bench.workload import CLUSTER, dispatch, user_id

_STRANGERS: Final = 100
_SAY_EVERY: Final = 10.0
_LOOK_EVERY: Final = 0.05
_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Million:
    """One dispatch to very many users, and what callers of small ones saw meanwhile."""

    users: int
    cost: Cost
    small: Load
    provider_share: float
    others_cores: float


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=number, default=1_000_000, help="users of the dispatch")
    parser.add_argument("--pace", type=amount, default=20.0, help="small dispatches a second")


def _measure(options: Options, folder: Path, say: Say) -> Section:
    """The whole job, once."""
    filled = kept_store(options.cache, options.users, _STRANGERS, say)
    with server(module("bench.services.provider"), folder / "provider.log") as receiver:
        providers = {"sms-service": provider(receiver.url, options.concurrency)}
        with Carillon(folder, providers).running(filled) as service:
            strangers = _Strangers(options.users)
            for _ in range(_STRANGERS):  # what a small dispatch needs is there before, too
                post_dispatch(service.url, next(strangers.bodies))
            take_tally(receiver.url)
            strangers.sent.clear()
            run = trio.run(_both, options, service, receiver, strangers, say)
        take_tally(receiver.url).check_each_once(options.users, strangers.sent)
    return _section(run)


class _Strangers:
    """Users that are not in the cluster, one after the other, and who of them was sent to."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.sent: list[int] = []
        self.bodies: Bodies = self._bodies()

    def _bodies(self) -> Iterator[dict[str, object]]:
        while True:
            number = self.first + len(self.sent) % _STRANGERS
            self.sent.append(number)
            yield {**dispatch(recipients=[user_id(number)]), "priority": "high"}


async def _both(
    options: Options, service: Server, receiver: Server, strangers: _Strangers, say: Say
) -> Million:
    bystanders = Bystanders(service.pid, receiver.pid)
    before = cpu_seconds(receiver.pid)
    meter = Meter(service.pid)
    async with posted(service.url, dispatch(clusters=[CLUSTER])) as large:
        await _under_way(receiver)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tell, service, receiver, large, strangers, say)
            small = await at_pace(
                service.url, strangers.bodies, options.pace, lambda: not large.open
            )
            nursery.cancel_scope.cancel()
    cost = meter.stop()
    share = (cpu_seconds(receiver.pid) - before) / cost.seconds
    return Million(options.users, cost, small, share, bystanders.stop())


async def _under_way(receiver: Server) -> None:
    for _ in range(int(_PATIENCE / _LOOK_EVERY)):
        if count_messages(receiver.url):
            return
        await trio.sleep(_LOOK_EVERY)
    raise ChildError(f"nothing of the large dispatch was sent within {_PATIENCE:g} s")


async def _tell(
    service: Server, receiver: Server, large: Posted, strangers: _Strangers, say: Say
) -> None:
    while large.open:
        await trio.sleep(_SAY_EVERY)
        sent = count_messages(receiver.url) - len(strangers.sent)
        resident = memory(service.pid, "VmRSS") / MB
        say(f"{sent:,} of {strangers.first:,} messages are sent, {resident:.0f} MB resident")


def _section(run: Million) -> Section:
    """Memory of the large dispatch, latencies of the small ones."""
    row: Row = {
        "users": run.users,
        "messages/s": run.users / run.cost.seconds,
        "idle MB": run.cost.idle_mb,
        "peak MB": run.cost.peak_mb,
        "CPU µs/message": run.cost.cpu_seconds / run.users * 1e6,
        "small dispatches": run.small.requests,
        "p50 ms": run.small.p50_ms,
        "p99 ms": run.small.p99_ms,
        "most ms": run.small.most_ms,
        "provider's core": run.provider_share,
        "others' cores": run.others_cores,
    }
    grown = run.cost.peak_mb - run.cost.idle_mb
    bars = (
        Bar("memory above idle", grown, "at most", 80.0, " MB"),
        Bar("p99 of small dispatches", run.small.p99_ms, "at most", 1000.0, " ms"),
    )
    title = "A very large dispatch, and small ones of high priority meanwhile"
    return Section(title, [table([row])], [run], bars)


PART: Final = Part(
    "million", "memory and small dispatches under a very large one", _options, _measure
)
