"""Where the CPU of one message goes: py-spy samples the service at work, by package.

A sampler and no tracer: a tracer makes small functions look dear. A sample counts for the innermost
package of those below that is at work; what stands nowhere (h11, pydantic, the standard library)
counts for its caller. Threads that wait are not sampled.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from bench.carillon import Carillon, provider
from bench.children import ChildError, Server, module, server
from bench.client import post_dispatch, take_tally
from bench.costs import Cost, Meter
from bench.load import call
from bench.results import Profile, Station
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
_RATE: Final = 400  # samples a second
_DEAREST: Final = 3
_PATIENCE: Final = 20.0
_ROOT: Final = f"{Path(__file__).parent.parent}/"
_FILE: Final = re.compile(r"\((/.+):\d+\)$")

Work = Callable[[Server], int]
"""Has the service send messages and tells how many."""


class TracingRefusedError(Exception):
    """The machine lets no process look into another one."""


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
    """Where the CPU goes while the service does this work.

    Raises WrongResultError, ChildError, TracingRefusedError.
    """
    filled, stacks = folder / "filled.db", folder / "stacks.txt"
    fill_store(filled, users)
    with server(module("bench.services.provider"), folder / "provider.log") as receiver:
        providers = {"sms-service": provider(receiver.url, concurrency)}
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
