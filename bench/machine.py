"""Where figures come from: the machine, what a process costs on it, and what others do meanwhile.

Processes are measured by their ids, this one too. Linux only.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

MB: Final = 1_000_000
_CPU_CLOCK: Final = 2
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

    def __str__(self) -> str:
        return (
            f"{self.date}, Python {self.python}, {self.cores} cores ({self.processor}); "
            f"a durable write takes {self.durable_write_ms:.1f} ms here. Contenders take turns: "
            "speeds and CPU times are the best of the turns, ratios the median of what each turn "
            'gives by itself. "Others\' cores" is what other programs took of the machine '
            "meanwhile."
        )


def this_machine(folder: Path) -> Machine:
    """What runs the bench; stores are in `folder`."""
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        python=platform.python_version(),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        durable_write_ms=_durable_write(folder) * 1000,
    )


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
        # VmHWM begins at what is resident now: start-up is not what is measured.
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")
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


class Bystanders:
    """Tells how many cores were busy with what is not ours, from its making to `stop`."""

    def __init__(self, *servers: int) -> None:
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
    # A nameless file would be spared the disk's journal.
    with NamedTemporaryFile(dir=folder) as file:
        started = time.perf_counter()
        for _ in range(_SYNCS):
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
        return (time.perf_counter() - started) / _SYNCS
