"""Small requests: one recipient, one channel, many callers, beside a route that does nothing."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from bench.carillon import Carillon, provider
from bench.children import Server, module, server
from bench.client import take_tally
from bench.load import SEND, Load, call
from bench.machine import Bystanders, cpu_seconds
from bench.part import Options, Part, amount, number, numbers
from bench.section import Bar, Row, Say, Section, grouped, of, ratio, table
from bench.store import fill_store

CARILLON: Final = "Carillon"
BARE_QUART: Final = "bare quart-trio route"
WARM_UP: Final = 0.5  # seconds
_LEAST: Final = 0.5  # times the bare route


@dataclass(frozen=True, slots=True)
class Small:
    """One contender answered small requests, or commands, of so many callers."""

    contender: str
    callers: int
    turn: int
    load: Load
    server_cpu_seconds: float
    others_cores: float

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.load.requests / self.load.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of the server's CPU a request."""
        return self.server_cpu_seconds / self.load.requests * 1e6


def add_options(parser: argparse.ArgumentParser) -> None:
    """Callers, and how long and how often they call."""
    parser.add_argument("--callers", type=numbers, default="1,16,64", help="callers at once")
    parser.add_argument("--seconds", type=amount, default=3.0, help="length of one turn")
    parser.add_argument("--repeat", type=number, default=3, help="turns of each contender")


def _measure(options: Options, folder: Path, say: Say) -> Section:
    filled = folder / "filled.db"
    fill_store(filled, max(options.callers))
    runs: list[Small] = []
    with (
        server(module("bench.services.provider"), folder / "provider.log") as receiver,
        server(module("bench.peers.bare_quart"), folder / "bare_quart.log") as bare,
        Carillon(folder, {"sms-service": provider(receiver.url, options.concurrency)}).running(
            filled
        ) as carillon,
    ):
        servers = {CARILLON: carillon, BARE_QUART: bare}
        for callers in options.callers:
            for one in servers.values():
                call(one.url, callers, WARM_UP)
            for turn in range(options.repeat):
                for contender, one in servers.items():
                    take_tally(receiver.url)
                    around = Bystanders(receiver.pid, bare.pid, carillon.pid)
                    load, cpu = called(one, callers, options.seconds)
                    runs.append(Small(contender, callers, turn, load, cpu, around.stop()))
                    if contender == CARILLON:
                        take_tally(receiver.url).check_number(load.requests)
                    rate = runs[-1].per_second
                    say(f"{contender}, {callers} callers: {rate:,.0f} requests/s")
    return _section(runs)


def called(
    one: Server,
    callers: int,
    seconds: float,
    path: str = SEND,
    cpu: Callable[[int], float] = cpu_seconds,
) -> tuple[Load, float]:
    """What so many callers see of a server, and the CPU time that it takes."""
    before = cpu(one.pid)
    load = call(one.url, callers, seconds, path)
    return load, cpu(one.pid) - before


def _section(runs: Sequence[Small]) -> Section:
    """Requests a second and latencies, by the number of callers."""
    groups = grouped(runs, lambda run: run.callers)
    rows: list[Row] = [
        {**small_row(own), "times bare route": ratio(own, of(BARE_QUART, group))}
        for group in groups
        for own in grouped(group, lambda run: run.contender)
    ]
    bars = [
        Bar(f"{group[0].callers} callers, times bare route", times, "at least", _LEAST)
        for group in groups
        if (times := ratio(of(CARILLON, group), of(BARE_QUART, group))) is not None
    ]
    return Section("Small requests: one recipient, one channel", [table(rows)], runs, bars)


def small_row(own: Sequence[Small]) -> Row:
    """The turns of one contender with so many callers."""
    return {
        "callers": own[0].callers,
        "contender": own[0].contender,
        "a second": max(run.per_second for run in own),
        "CPU µs each": min(run.cpu_us for run in own),
        "p50 ms": median(run.load.p50_ms for run in own),
        "p99 ms": median(run.load.p99_ms for run in own),
        "others' cores": median(run.others_cores for run in own),
    }


PART: Final = Part("small", "many requests for one user each", add_options, _measure)
