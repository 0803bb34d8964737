"""Where the CPU of one message goes: py-spy samples the service at work, by package.

A sampler and no tracer: a tracer makes small functions look dear. A sample counts for the innermost
package of those below that is at work; what stands nowhere (h11, pydantic, the standard library)
counts for its caller. Threads that wait are not sampled.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bench.carillon import Carillon, provider
from bench.children import ChildError, Server, module, server
from bench.client import post_dispatch, take_tally
from bench.load import call
from bench.machine import Cost, Meter
from bench.part import Options, Part, amount, number
from bench.section import Row, Say, Section, table
from bench.store import fill_store
from bench.workload import CLUSTER, dispatch

OURS: Final = (
    "actors",
    "actors/provider",
    "api",
    "api/server",
    "dispatches",
    "http_client",
    "providers",
    "stores",
    "stores/sqlite/journal",
    "telemetry",
)
LIBRARIES: Final = ("trio",)
OTHER: Final = "other"
PY_SPY: Final = str(Path(sys.executable).with_name("py-spy"))
_TITLE: Final = "Where the CPU of one message goes"
_CALLERS: Final = 16
_RATE: Final = 400  # samples a second
_DEAREST: Final = 3
_PATIENCE: Final = 20.0
_ROOT: Final = f"{Path(__file__).parent.parent}/"
_FILE: Final = re.compile(r"\((/.+):\d+\)$")


@dataclass(frozen=True, slots=True)
class Station:
    """What one part of the way of a message took; `files` are its dearest, with their share."""

    name: str
    cpu_us: float
    files: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the CPU of one message goes. The stations sum up to `cpu_us`."""

    work: str
    messages: int
    cpu_us: float
    per_second: float
    stations: Sequence[Station]


class TracingRefusedError(Exception):
    """The machine lets no process look into another one."""


_Work = Callable[[Server], int]
"""Has the service send messages and tells how many."""


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=number, default=50_000, help="users of the one dispatch")
    parser.add_argument(
        "--seconds", type=amount, default=5.0, help="of small requests of 16 callers"
    )


def _measure(options: Options, folder: Path, say: Say) -> Section:
    def fan_out(service: Server) -> int:
        post_dispatch(service.url, dispatch(clusters=[CLUSTER]))
        return options.users

    def small_requests(service: Server) -> int:
        return call(service.url, _CALLERS, options.seconds).requests

    works: dict[str, _Work] = {
        f"One dispatch to {options.users:,} users": fan_out,
        f"Small requests of {_CALLERS} callers": small_requests,
    }
    found: list[Profile] = []
    for name, work in works.items():
        say(f"sampling: {name}")
        try:
            found.append(_profiled(name, work, options, folder))
        except TracingRefusedError as error:
            return Section(_TITLE, [str(error)], found)
    texts = [part for profile in found for part in (f"{profile.work}:", _table(profile))]
    return Section(_TITLE, texts, found)


def _profiled(name: str, work: _Work, options: Options, folder: Path) -> Profile:
    filled, stacks = folder / "filled.db", folder / "stacks.txt"
    fill_store(filled, max(options.users, _CALLERS))
    with server(module("bench.services.provider"), folder / "provider.log") as receiver:
        providers = {"sms-service": provider(receiver.url, options.concurrency)}
        with Carillon(folder, providers).running(filled) as service:
            take_tally(receiver.url)
            with sampled(service.pid, stacks):
                meter = Meter(service.pid)
                messages = work(service)
                cost = meter.stop()
            profile = profile_of(name, messages, cost, stacks.read_text().splitlines())
        take_tally(receiver.url).check_number(profile.messages)
    return profile


@contextmanager
def sampled(pid: int, output: Path, program: str = PY_SPY) -> Iterator[None]:
    """Let py-spy write the stacks of a process to a file while the body runs.

    Raises ChildError, TracingRefusedError.
    """
    log = output.with_suffix(".log")
    command = [program, "record", "--pid", f"{pid}", "--output", str(output), "--format", "raw"]
    command += ["--full-filenames", "--nonblocking", "--rate", f"{_RATE}"]
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
    try:
        _until_sampling(process, log)
        yield
        process.send_signal(signal.SIGINT)
        if process.wait(_PATIENCE):
            raise ChildError(f"py-spy wrote nothing: {log.read_text()[-500:].strip()}")
    finally:
        process.kill()
        process.wait()


def _until_sampling(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while "Sampling process" not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text()[-500:].strip()
            if re.search("permission denied|not permitted", said, re.IGNORECASE):
                raise TracingRefusedError(
                    "This machine lets py-spy look into no other process: run as root, with "
                    "CAP_SYS_PTRACE, or with kernel.yama.ptrace_scope=0."
                )
            raise ChildError(f"py-spy did not start: {said}")
        time.sleep(0.02)


def profile_of(title: str, messages: int, cost: Cost, stacks: Sequence[str]) -> Profile:
    """The CPU of a message by station; `stacks` are py-spy's, outermost frame first."""
    samples: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in stacks:
        stack, _, number = line.rpartition(" ")
        station, file = place_of(stack.split(";"))
        samples[station][file] += int(number)
    all_samples = sum(taken.total() for taken in samples.values())
    if not all_samples:
        raise ChildError("py-spy met the service at no work")
    whole = cost.cpu_seconds / messages * 1e6
    each = whole / all_samples
    stations = [
        Station(name, taken.total() * each, _dearest(taken, each))
        for name, taken in samples.items()
    ]
    stations.sort(key=lambda station: -station.cpu_us)
    return Profile(title, messages, whole, messages / cost.seconds, stations)


def _dearest(taken: Counter[str], each: float) -> list[tuple[str, float]]:
    return [(file, number * each) for file, number in taken.most_common(_DEAREST)]


def place_of(stack: Sequence[str]) -> tuple[str, str]:
    """The station of a stack, and the innermost file of ours, which is the one to change."""
    found = [_FILE.search(frame) for frame in reversed(stack)]
    paths = [match[1] for match in found if match is not None]
    station = next(filter(None, map(station_of, paths)), OTHER)
    file = next((path for path in paths if path.startswith(_ROOT) and ".venv/" not in path), "-")
    return station, file.removeprefix(_ROOT)


@cache
def station_of(path: str) -> str:
    """The station that a file belongs to, nothing when it counts for its caller."""
    _, installed, within = path.rpartition("/site-packages/")
    if installed:
        return next((one for one in LIBRARIES if within.startswith(f"{one}/")), "")
    folder = path.removeprefix(_ROOT) if path.startswith(_ROOT) else ""
    return max((one for one in OURS if folder.startswith(f"{one}/")), key=len, default="")


def _table(profile: Profile) -> str:
    rows: list[Row] = [
        {
            "station": station.name,
            "CPU µs/message": station.cpu_us,
            "share": f"{station.cpu_us / profile.cpu_us:.0%}",
            "dearest files": ", ".join(f"{name} {taken:.0f}" for name, taken in station.files),
        }
        for station in profile.stations
    ]
    rate = f"{profile.per_second:,.0f} messages/s"
    rows.append({"station": "all", "CPU µs/message": profile.cpu_us, "dearest files": rate})
    return table(rows)


PART: Final = Part("profile", "where the CPU of one message goes", _options, _measure)
