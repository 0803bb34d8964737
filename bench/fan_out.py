"""Fan-out: one dispatch to N users, beside peers that do the same job, turn by turn.

And what durability costs of it: the same with each `journal.fsync`, and with no journal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.carillon import Carillon, provider
from bench.children import Server, answer_of, module, server
from bench.client import post_dispatch, take_tally
from bench.costs import Cost, CpuTime, Meter
from bench.machine import Bystanders
from bench.peers.node import Node
from bench.report.section import Say
from bench.results import FanOut
from bench.store import fill_store
from bench.workload import CLUSTER, dispatch, user_id

CARILLON: Final = "Carillon, one cluster"
CARILLON_IDS: Final = "Carillon, ids listed"
BARE_TRIO: Final = "bare trio loop"
AIOHTTP: Final = "aiohttp, gather"
NODE: Final = "Node.js, fastify and axios"
_LOOPS: Final = {
    BARE_TRIO: "bench.peers.bare_trio",
    AIOHTTP: "bench.peers.aiohttp_gather",
}
OFF: Final = "no journal"
SETTINGS: Final = ("commit", "process", OFF)
LARGE: Final = 100_000
"""From so many users on, one turn is enough: it lasts minutes."""


_Seen = tuple[Cost, float, float]


@dataclass(frozen=True, slots=True)
class FanOutPlan:
    """What is to be measured; without Node.js when it is not here."""

    sizes: Sequence[int]
    repeat: int
    concurrency: int
    node: Node | None


def measure_fan_out(plan: FanOutPlan, folder: Path, say: Say) -> Iterator[FanOut]:
    """Every contender at every size. Raises WrongResultError when one did not do its job."""
    with server(module("bench.services.provider"), folder / "provider.log") as receiver:
        for users in plan.sizes:
            say(f"filling a store with {users:,} users")
            bout = _Bout(plan, folder, receiver, users)
            bout.fill()
            for turn in range(1 if users >= LARGE else plan.repeat):
                for contender in _contenders(plan):
                    run = bout.run(contender, turn)
                    say(f"{contender}, {users:,} users: {run.per_second:,.0f} messages/s")
                    yield run


def _contenders(plan: FanOutPlan) -> Sequence[str]:
    peers = (BARE_TRIO, AIOHTTP) if plan.node is None else (BARE_TRIO, NODE, AIOHTTP)
    return (CARILLON, *peers, CARILLON_IDS)


@dataclass(frozen=True, slots=True)
class _Bout:
    """One size, the same for all contenders."""

    plan: FanOutPlan
    folder: Path
    receiver: Server
    users: int

    def fill(self) -> None:
        """Give the services their users."""
        fill_store(self._store, self.users)
        if self.plan.node is not None:
            self.plan.node.write_users(self._lines, self.users)

    def run(self, contender: str, turn: int) -> FanOut:
        """One contender's turn, checked: each message arrived, and arrived once."""
        if contender in _LOOPS:
            seen = self._loop(_LOOPS[contender])
        elif contender == NODE:
            seen = self._node()
        else:
            seen = self._carillon(contender)
        take_tally(self.receiver.url).check_each_once(self.users)
        return FanOut(contender, self.users, turn, *seen)

    @property
    def _store(self) -> Path:
        return self.folder / "filled.db"

    @property
    def _lines(self) -> Path:
        return self.folder / "users.jsonl"

    def _carillon(self, contender: str) -> _Seen:
        body = dispatch(clusters=[CLUSTER])
        if contender == CARILLON_IDS:
            body = dispatch(recipients=[user_id(index) for index in range(self.users)])
        providers = {"sms-service": provider(self.receiver.url, self.plan.concurrency)}
        with Carillon(self.folder, providers).running(self._store) as service:
            return self._service(service, body)

    def _node(self) -> _Seen:
        assert self.plan.node is not None
        started = self.plan.node.running(self._lines, self.receiver.url, self.plan.concurrency)
        with started as service:
            return self._service(service, dispatch(clusters=[CLUSTER]))

    def _service(self, service: Server, body: dict[str, object]) -> _Seen:
        return _seen(service, self.receiver, body)

    def _loop(self, name: str) -> _Seen:
        bystanders = Bystanders([self.receiver.pid])
        job = module(name, self.receiver.url, self.users, self.plan.concurrency)
        received = CpuTime(self.receiver.pid)
        cost = Cost(**answer_of(job))
        return cost, received.share(cost.seconds), bystanders.stop()


def _seen(service: Server, receiver: Server, body: dict[str, object]) -> _Seen:
    take_tally(receiver.url)  # of what it warmed up with
    bystanders = Bystanders([service.pid, receiver.pid])
    received = CpuTime(receiver.pid)
    meter = Meter(service.pid)
    post_dispatch(service.url, body)
    cost = meter.stop()
    return cost, received.share(cost.seconds), bystanders.stop()


@dataclass(frozen=True, slots=True)
class DurabilityPlan:
    """What is to be measured."""

    users: int
    repeat: int
    concurrency: int


def measure_durability(plan: DurabilityPlan, folder: Path, say: Say) -> Iterator[FanOut]:
    """Every setting, turn by turn. Raises WrongResultError when one did not do its job."""
    filled = folder / "filled.db"
    fill_store(filled, plan.users)
    with server(module("bench.services.provider"), folder / "provider.log") as receiver:
        for turn in range(plan.repeat):
            for setting in SETTINGS:
                carillon = _with_setting(setting, folder, provider(receiver.url, plan.concurrency))
                with carillon.running(filled) as service:
                    seen = _seen(service, receiver, dispatch(clusters=[CLUSTER]))
                take_tally(receiver.url).check_each_once(plan.users)
                run = FanOut(setting, plan.users, turn, *seen)
                say(f"{setting}: {run.per_second:,.0f} messages/s")
                yield run


def _with_setting(setting: str, folder: Path, section: Mapping[str, object]) -> Carillon:
    providers = {"sms-service": section}
    if setting == OFF:
        command = module("bench.services.unjournalled")
        return Carillon(folder, providers, command=command)
    return Carillon(folder, providers, more={"journal": {"fsync": setting}})
