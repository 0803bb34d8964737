"""Commands of sagas: functions in Python, one message each, and a Flow Manager that gets the event.

A command is answered when its event is accepted, so a rate of answers is a rate of whole sagas.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.carillon import Carillon, provider
from bench.children import Server, module, server
from bench.client import take_tally
from bench.costs import family_seconds
from bench.load import SAGA, call
from bench.machine import Bystanders
from bench.report.section import Say
from bench.results import Small
from bench.store import fill_store
from bench.workload import COMMAND, EVENTS, TEMPLATE

CONTENDER: Final = "saga commands"
_WARM_UP: Final = 0.5
_FUNCTIONS: Final = """\
def get_template_id(event):
    return event["value"]["messagePayload"]["template"]


def get_data(event):
    payload = event["value"]["messagePayload"]
    return {"order": payload["order"], "total": f"{payload['total']:.2f}"}
"""


@dataclass(frozen=True, slots=True)
class SagasPlan:
    """What is to be measured; `seconds` is the length of one turn."""

    callers: Sequence[int]
    repeat: int
    seconds: float
    concurrency: int


def measure_sagas(plan: SagasPlan, folder: Path, say: Say) -> Iterator[Small]:
    """Each number of callers, turn by turn. Raises WrongResultError, ChildError."""
    filled = folder / "filled.db"
    fill_store(filled, max(plan.callers), templates=[TEMPLATE])
    with saga_servers(folder) as servers:
        with saga_service(folder, servers, plan.concurrency).running(filled) as service:
            for callers in plan.callers:
                for turn in range(plan.repeat):
                    run = one_turn(service, servers, callers, plan.seconds)
                    say(f"{callers} callers: {run.per_second:,.0f} commands/s")
                    yield replace(run, turn=turn)


@dataclass(frozen=True, slots=True)
class SagaServers:
    """What stands in for the provider and for the Flow Manager."""

    provider: Server
    flow_manager: Server


@contextmanager
def saga_servers(folder: Path) -> Iterator[SagaServers]:
    """Both, while the body runs."""
    stand_in = module("bench.services.provider")
    with (
        server(stand_in, folder / "provider.log") as receiver,
        server(stand_in, folder / "flow-manager.log") as flow_manager,
    ):
        yield SagaServers(receiver, flow_manager)


def saga_service(folder: Path, servers: SagaServers, concurrency: int) -> Carillon:
    """The service with its functions; they are written into the folder."""
    functions = folder / "functions.py"
    functions.write_text(_FUNCTIONS)
    flow = {
        "serviceUrl": servers.flow_manager.url,
        **EVENTS,
        "metadataSchema": COMMAND,
        "getTemplateIdFilePath": str(functions),
        "getDataFilePath": str(functions),
    }
    providers = {"sms-service": provider(servers.provider.url, concurrency)}
    return Carillon(folder, providers, more={"flowManagerConfiguration": flow})


def one_turn(service: Server, servers: SagaServers, callers: int, seconds: float) -> Small:
    """A warm service under so many callers.

    Raises WrongResultError unless each command came to one message and one event.
    """
    call(service.url, callers, _WARM_UP, SAGA)
    both = (servers.provider, servers.flow_manager)
    for one in both:
        take_tally(one.url)
    bystanders = Bystanders([service.pid, *(one.pid for one in both)])
    cpu = family_seconds(service.pid)
    load = call(service.url, callers, seconds, SAGA)
    cpu, others = family_seconds(service.pid) - cpu, bystanders.stop()
    for one in both:
        take_tally(one.url).check_number(load.requests)
    return Small(CONTENDER, callers, 0, load, cpu, others)
