"""What durability costs: the same dispatch with each `journal.fsync`, and with no journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.carillon import Carillon, provider
from bench.children import module, server
from bench.client import post_dispatch, take_tally
from bench.costs import CpuTime, Meter
from bench.machine import Bystanders
from bench.report.section import Say
from bench.results import FanOut
from bench.store import fill_store
from bench.workload import CLUSTER, dispatch

OFF: Final = "no journal"
SETTINGS: Final = ("commit", "process", OFF)


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
                carillon = _carillon(setting, folder, provider(receiver.url, plan.concurrency))
                with carillon.running(filled) as service:
                    take_tally(receiver.url)
                    bystanders = Bystanders([service.pid, receiver.pid])
                    received, meter = CpuTime(receiver.pid), Meter(service.pid)
                    post_dispatch(service.url, dispatch(clusters=[CLUSTER]))
                    cost = meter.stop()
                    share, others = received.share(cost.seconds), bystanders.stop()
                take_tally(receiver.url).check_each_once(plan.users)
                run = FanOut(setting, plan.users, turn, cost, share, others)
                say(f"{setting}: {run.per_second:,.0f} messages/s")
                yield run


def _carillon(setting: str, folder: Path, section: Mapping[str, object]) -> Carillon:
    providers = {"sms-service": section}
    if setting == OFF:
        command = module("bench.services.unjournalled")
        return Carillon(folder, providers, command=command)
    return Carillon(folder, providers, more={"journal": {"fsync": setting}})
