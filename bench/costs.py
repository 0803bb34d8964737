"""What a process costs: CPU and memory, of this one or, by its id, of another. Linux only."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MB: Final = 1_000_000
_CPU_CLOCK: Final = 2


@dataclass(frozen=True, slots=True)
class Cost:
    """What one job took. Memory is resident: before it, and the most while it ran."""

    seconds: float
    cpu_seconds: float
    idle_mb: float
    peak_mb: float


class Meter:
    """Measures a process from its making to `stop`."""

    def __init__(self, pid: int | None = None) -> None:
        self._pid = os.getpid() if pid is None else pid
        _reset_peak(self._pid)
        self._idle = memory(self._pid, "VmRSS")
        self._cpu = cpu_seconds(self._pid)
        self._started = time.perf_counter()

    def stop(self) -> Cost:
        """What it cost until now."""
        seconds = time.perf_counter() - self._started
        cpu = cpu_seconds(self._pid) - self._cpu
        # The kernel notes its peak late: what was read before may have been more.
        peak = max(self._idle, memory(self._pid, "VmHWM"))
        return Cost(seconds, cpu, self._idle / MB, peak / MB)


class CpuTime:
    """What a process computes from the making of this on."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = cpu_seconds(pid)

    def share(self, seconds: float) -> float:
        """Its part of one core in so long a time; more than 1 when several threads ran."""
        return (cpu_seconds(self._pid) - self._before) / seconds


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, of threads that have ended too, to the nanosecond."""
    # What clock_getcpuclockid(3) computes; /proc/<pid>/stat counts in ticks of 10 ms only.
    return time.clock_gettime((~pid << 3) | _CPU_CLOCK)


def family_seconds(pid: int) -> float:
    """The same of a process and those that it has begun, as long as they live."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(one) for task in tasks for one in (task / "children").read_text().split()]
    return cpu_seconds(pid) + sum(map(family_seconds, children))


def memory(pid: int, field: str) -> int:
    """A field of /proc/<pid>/status, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise KeyError(field)


def _reset_peak(pid: int) -> None:
    """Let VmHWM begin at what is resident now: start-up is not what is measured."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
