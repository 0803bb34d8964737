"""Fan-out: one dispatch to N users, beside peers that do the same job, turn by turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.carillon import Carillon, fill_store
from bench.children import Server, answer_of, module, server
from bench.costs import Cost, Meter
from bench.local_http import post_dispatch, take_tally
from bench.machine import Bystanders
from bench.results import FanOut
from bench.workload import CLUSTER, dispatch, user_id

CARILLON: Final = "Carillon, one cluster"
CARILLON_IDS: Final = "Carillon, ids listed"
BARE_TRIO: Final = "bare trio loop"
AIOHTTP: Final = "aiohttp, gather"
_PEERS: Final = {
    BARE_TRIO: "bench.peers.bare_trio",
    AIOHTTP: "bench.peers.aiohttp_gather",
}
LARGE: Final = 100_000
"""From so many users on, one turn is enough: it lasts minutes."""


@dataclass(frozen=True, slots=True)
class FanOutPlan:
    """What is to be measured."""

    sizes: Sequence[int]
    repeat: int
    concurrency: int


def measure_fan_out(plan: FanOutPlan, folder: Path, say: Callable[[str], None]) -> Iterator[FanOut]:
    """Every contender at every size. Raises WrongResultError when one did not do its job."""
    with server(module("bench.provider"), folder / "provider.log") as provider:
        carillon = Carillon(folder, provider.url, plan.concurrency)
        for users in plan.sizes:
            say(f"filling a store with {users:,} users")
            filled = folder / "filled.db"
            filled.unlink(missing_ok=True)
            fill_store(filled, users)
            bout = _Bout(carillon, provider, users, filled)
            for turn in range(1 if users >= LARGE else plan.repeat):
                for contender in (CARILLON, BARE_TRIO, AIOHTTP, CARILLON_IDS):
                    run = bout.run(contender, turn)
                    say(f"{contender}, {users:,} users: {run.per_second:,.0f} messages/s")
                    yield run


@dataclass(frozen=True, slots=True)
class _Bout:
    """One size, the same for all contenders."""

    carillon: Carillon
    provider: Server
    users: int
    filled: Path

    def run(self, contender: str, turn: int) -> FanOut:
        """One contender's turn, checked: each message arrived, and arrived once."""
        if contender in _PEERS:
            cost, others = self._peer(_PEERS[contender])
        elif contender == CARILLON_IDS:
            ids = [user_id(index) for index in range(self.users)]
            cost, others = self._service(dispatch(recipients=ids))
        else:
            cost, others = self._service(dispatch(clusters=[CLUSTER]))
        take_tally(self.provider.url).check_each_once(self.users)
        return FanOut(contender, self.users, turn, cost, others)

    def _service(self, body: dict[str, object]) -> tuple[Cost, float]:
        with self.carillon.running(self.filled) as service:
            bystanders = Bystanders([service.pid, self.provider.pid])
            meter = Meter(service.pid)
            post_dispatch(service.url, body)
            return meter.stop(), bystanders.stop()

    def _peer(self, name: str) -> tuple[Cost, float]:
        bystanders = Bystanders([self.provider.pid])
        job = module(name, self.provider.url, self.users, self.carillon.concurrency)
        return Cost(**answer_of(job)), bystanders.stop()
