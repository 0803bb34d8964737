"""A dispatch to a million users, and small ones of high priority while it is under way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from bench.carillon import Carillon, provider
from bench.children import ChildError, Server, module, server
from bench.client import Posted, count_messages, post_dispatch, posted, take_tally
from bench.costs import MB, CpuTime, Meter, memory
from bench.load import Bodies, at_pace
from bench.machine import Bystanders
from bench.report.section import Say
from bench.results import Million
from bench.store import kept_store
from bench.workload import CLUSTER, dispatch, user_id

_STRANGERS: Final = 100
_SAY_EVERY: Final = 10.0
_LOOK_EVERY: Final = 0.05
_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class MillionPlan:
    """What is to be measured; `pace` is small dispatches a second."""

    users: int
    pace: float
    concurrency: int
    cache: Path


def measure_million(plan: MillionPlan, folder: Path, say: Say) -> Million:
    """The whole job, once. Raises WrongResultError, ChildError."""
    filled = kept_store(plan.cache, plan.users, _STRANGERS, say)
    with server(module("bench.services.provider"), folder / "provider.log") as receiver:
        providers = {"sms-service": provider(receiver.url, plan.concurrency)}
        with Carillon(folder, providers).running(filled) as service:
            strangers = _Strangers(plan.users)
            for _ in range(_STRANGERS):  # what a small dispatch needs is there before, too
                post_dispatch(service.url, next(strangers.bodies))
            take_tally(receiver.url)
            strangers.sent.clear()
            run = trio.run(_measured, plan, service, receiver, strangers, say)
        take_tally(receiver.url).check_each_once(plan.users, strangers.sent)
    return run


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


async def _measured(
    plan: MillionPlan, service: Server, receiver: Server, strangers: _Strangers, say: Say
) -> Million:
    bystanders = Bystanders([service.pid, receiver.pid])
    received = CpuTime(receiver.pid)
    meter = Meter(service.pid)
    async with posted(service.url, dispatch(clusters=[CLUSTER])) as large:
        await _under_way(receiver)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tell, service, receiver, large, strangers, say)
            small = await at_pace(service.url, strangers.bodies, plan.pace, lambda: not large.open)
            nursery.cancel_scope.cancel()
    cost = meter.stop()
    share = received.share(cost.seconds)
    return Million(plan.users, cost, small, share, bystanders.stop())


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
