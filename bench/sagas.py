"""Commands of sagas: functions in Python, one message each, and a Flow Manager that gets the event.

A command is answered when its event is accepted, so a rate of answers is a rate of whole sagas.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.carillon import Carillon, provider
from bench.children import Server, module, server
from bench.client import take_tally
from bench.load import SAGA, call
from bench.machine import Bystanders, family_seconds
from bench.part import Options, Part
from bench.section import Bar, Say, Section, grouped, table
from bench.small_requests import WARM_UP, Small, add_options, called, small_row
from bench.store import fill_store
from bench.workload import COMMAND, EVENTS, TEMPLATE

_LEAST: Final = 224.0  # commands a second
_FUNCTIONS: Final = """\
def get_template_id(event):
    return event["value"]["messagePayload"]["template"]


def get_data(event):
    payload = event["value"]["messagePayload"]
    return {"order": payload["order"], "total": f"{payload['total']:.2f}"}
"""


def _options(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.set_defaults(callers="16")


def _measure(options: Options, folder: Path, say: Say) -> Section:
    filled = folder / "filled.db"
    fill_store(filled, max(options.callers), templates=[TEMPLATE])
    runs: list[Small] = []
    with saga_servers(folder) as servers:
        with servers.carillon(folder, options.concurrency).running(filled) as service:
            for callers in options.callers:
                for turn in range(options.repeat):
                    runs.append(servers.turn(service, callers, turn, options.seconds))
                    say(f"{callers} callers: {runs[-1].per_second:,.0f} commands/s")
    groups = grouped(runs, lambda run: run.callers)
    bars = [
        Bar(
            f"{group[0].callers} callers, commands a second",
            max(run.per_second for run in group),
            "at least",
            _LEAST,
        )
        for group in groups
    ]
    title = "Commands of sagas: functions in Python, one message and one event each"
    return Section(title, [table(list(map(small_row, groups)))], runs, bars)


@dataclass(frozen=True, slots=True)
class SagaServers:
    """What stands in for the provider and for the Flow Manager."""

    provider: Server
    flow_manager: Server

    def carillon(self, folder: Path, concurrency: int) -> Carillon:
        """The service with its functions; they are written into the folder."""
        functions = folder / "functions.py"
        functions.write_text(_FUNCTIONS)
        flow = {
            "serviceUrl": self.flow_manager.url,
            **EVENTS,
            "metadataSchema": COMMAND,
            "getTemplateIdFilePath": str(functions),
            "getDataFilePath": str(functions),
        }
        providers = {"sms-service": provider(self.provider.url, concurrency)}
        return Carillon(folder, providers, more={"flowManagerConfiguration": flow})

    def turn(self, service: Server, callers: int, turn: int, seconds: float) -> Small:
        """A warm service under so many callers.

        Raises WrongResultError unless each command came to one message and one event.
        """
        both = (self.provider, self.flow_manager)
        call(service.url, callers, WARM_UP, SAGA)
        for one in both:
            take_tally(one.url)
        bystanders = Bystanders(service.pid, *(one.pid for one in both))
        load, cpu = called(service, callers, seconds, SAGA, family_seconds)
        others = bystanders.stop()
        for one in both:
            take_tally(one.url).check_number(load.requests)
        return Small("saga commands", callers, turn, load, cpu, others)


@contextmanager
def saga_servers(folder: Path) -> Iterator[SagaServers]:
    """Both, while the body runs."""
    stand_in = module("bench.services.provider")
    with (
        server(stand_in, folder / "provider.log") as receiver,
        server(stand_in, folder / "flow-manager.log") as flow_manager,
    ):
        yield SagaServers(receiver, flow_manager)


PART: Final = Part("sagas", "commands of sagas with functions in Python", _options, _measure)
