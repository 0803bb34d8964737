"""Where the CPU of one message goes: the service at work under the sampler, by station."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from heapq import nlargest
from operator import itemgetter
from pathlib import Path
from typing import Final

from bench.carillon import Carillon, provider
from bench.children import ChildError, Server, module, server
from bench.costs import Cost, Meter, threads
from bench.load import call
from bench.local_http import post_dispatch, take_tally
from bench.results import Profile, Station
from bench.stations import OTHER, THREADS
from bench.store import fill_store
from bench.workload import CLUSTER, dispatch

_DEAREST: Final = 3
_PATIENCE: Final = 10.0


Work = Callable[[Server], int]
"""Has the service send messages and tells how many."""


def fan_out(users: int) -> Work:
    """One dispatch to so many users."""

    def work(service: Server) -> int:
        post_dispatch(service.url, dispatch(clusters=[CLUSTER]))
        return users

    return work


def small_requests(callers: int, seconds: float) -> Work:
    """As many dispatches to one user as so many callers bring about."""
    return lambda service: call(service.url, callers, seconds).requests


def measure_profile(name: str, work: Work, users: int, concurrency: int, folder: Path) -> Profile:
    """Where the CPU goes while the service does this work. Raises WrongResultError."""
    filled, samples = folder / "filled.db", folder / "samples.json"
    samples.unlink(missing_ok=True)
    fill_store(filled, users)
    with server(module("bench.provider"), folder / "provider.log") as receiver:
        providers = {"sms-service": provider(receiver.url, concurrency)}
        command = module("bench.sampled_service", samples)
        with Carillon(folder, providers, command=command).running(filled) as service:
            take_tally(receiver.url)
            profile = _sampled(name, work, service, samples)
        take_tally(receiver.url).check_number(profile.messages)
    return profile


def _sampled(name: str, work: Work, service: Server, samples: Path) -> Profile:
    before = threads(service.pid)
    meter = Meter(service.pid)
    os.kill(service.pid, signal.SIGUSR1)
    messages = work(service)
    os.kill(service.pid, signal.SIGUSR1)
    cost = meter.stop()
    after = threads(service.pid)
    by_thread: defaultdict[str, float] = defaultdict(float)
    for thread, (title, seconds) in after.items():
        if thread != service.pid:
            kind = "reads" if title.startswith("Trio") else "journal"
            by_thread[THREADS[kind]] += seconds - before.get(thread, ("", 0.0))[1]
    return _profile(name, messages, cost, by_thread, _read(samples))


def _read(samples: Path) -> Mapping[str, float]:
    deadline = time.monotonic() + _PATIENCE
    while not samples.exists():
        if time.monotonic() > deadline:
            raise ChildError("the sampled service wrote no samples")
        time.sleep(0.05)
    spent: dict[str, float] = json.loads(samples.read_text())
    return spent


def _profile(
    title: str,
    messages: int,
    cost: Cost,
    by_thread: Mapping[str, float],
    spent: Mapping[str, float],
) -> Profile:
    modules: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for place, seconds in spent.items():
        station, _, name = place.partition("|")
        modules[station][name] = seconds / messages * 1e6
    stations = [
        Station(name, sum(taken.values()), nlargest(_DEAREST, taken.items(), key=itemgetter(1)))
        for name, taken in modules.items()
    ]
    stations += [Station(name, taken / messages * 1e6, ()) for name, taken in by_thread.items()]
    whole = cost.cpu_seconds / messages * 1e6
    rest = whole - sum(station.cpu_us for station in stations)
    stations.append(Station(f"{OTHER}, not sampled", rest, ()))
    stations.sort(key=lambda station: -station.cpu_us)
    return Profile(title, messages, whole, messages / cost.seconds, stations)
