"""Where the figures come from: the machine, and what others did on it meanwhile."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from bench.costs import cpu_seconds

_SYNCS: Final = 20
_BUSY: Final = (0, 1, 2, 5, 6)  # user, nice, system, irq, softirq in the first line of /proc/stat


@dataclass(frozen=True, slots=True)
class Machine:
    """What a figure depends on besides the code."""

    date: str
    python: str
    processor: str
    cores: int
    durable_write_ms: float


def this_machine(folder: Path) -> Machine:
    """What runs the bench; stores are in `folder`."""
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        python=platform.python_version(),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        durable_write_ms=_durable_write(folder) * 1000,
    )


class Bystanders:
    """Tells how many cores were busy with what is not ours, from its making to `stop`."""

    def __init__(self, servers: Sequence[int]) -> None:
        self._servers = servers
        self._started = time.perf_counter()
        self._busy = _busy_seconds()
        self._ours = self._our_seconds()

    def stop(self) -> float:
        """Cores, on average. Jobs of ours must have ended, servers must live."""
        others = _busy_seconds() - self._busy - (self._our_seconds() - self._ours)
        return max(0.0, others / (time.perf_counter() - self._started))

    def _our_seconds(self) -> float:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        servers = sum(cpu_seconds(pid) for pid in self._servers)
        return time.process_time() + ended.ru_utime + ended.ru_stime + servers


def _busy_seconds() -> float:
    ticks = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return sum(int(ticks[column]) for column in _BUSY) / os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _durable_write(folder: Path) -> float:
    """Seconds of one small write that survives a power cut: what a commit waits for."""
    with NamedTemporaryFile(
        dir=folder
    ) as file:  # a nameless one would be spared the disk's journal
        started = time.perf_counter()
        for _ in range(_SYNCS):
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
        return (time.perf_counter() - started) / _SYNCS
