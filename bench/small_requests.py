"""Small requests: one recipient, one channel, many callers, beside a route that does nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.carillon import Carillon, provider
from bench.children import Server, module, server
from bench.client import take_tally
from bench.costs import cpu_seconds
from bench.load import call
from bench.machine import Bystanders
from bench.report.section import Say
from bench.results import Small
from bench.store import fill_store

CARILLON: Final = "Carillon"
BARE_QUART: Final = "bare quart-trio route"
_WARM_UP: Final = 0.5


@dataclass(frozen=True, slots=True)
class SmallPlan:
    """What is to be measured; `seconds` is the length of one turn."""

    callers: Sequence[int]
    repeat: int
    seconds: float
    concurrency: int


def measure_small(plan: SmallPlan, folder: Path, say: Say) -> Iterator[Small]:
    """Both contenders with each number of callers. Raises WrongResultError."""
    filled = folder / "filled.db"
    fill_store(filled, max(plan.callers))
    with (
        server(module("bench.services.provider"), folder / "provider.log") as receiver,
        server(module("bench.peers.bare_quart"), folder / "bare_quart.log") as bare,
        _carillon(plan, folder, receiver).running(filled) as carillon,
    ):
        servers = {CARILLON: carillon, BARE_QUART: bare}
        living = [receiver.pid, bare.pid, carillon.pid]
        for callers in plan.callers:
            for one in servers.values():
                call(one.url, callers, _WARM_UP)
            for turn in range(plan.repeat):
                for contender, one in servers.items():
                    take_tally(receiver.url)
                    run = _turn(contender, one, callers, turn, plan.seconds, living)
                    if contender == CARILLON:
                        take_tally(receiver.url).check_number(run.load.requests)
                    say(f"{contender}, {callers} callers: {run.per_second:,.0f} requests/s")
                    yield run


def _carillon(plan: SmallPlan, folder: Path, receiver: Server) -> Carillon:
    return Carillon(folder, {"sms-service": provider(receiver.url, plan.concurrency)})


def _turn(
    contender: str, one: Server, callers: int, turn: int, seconds: float, living: Sequence[int]
) -> Small:
    bystanders = Bystanders(living)
    cpu = cpu_seconds(one.pid)
    load = call(one.url, callers, seconds)
    return Small(contender, callers, turn, load, cpu_seconds(one.pid) - cpu, bystanders.stop())
