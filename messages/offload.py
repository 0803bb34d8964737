"""Work that is too long for the event loop: done in a thread, and bounded in sum.

Heartbeats, leases and probes share the loop with what callers send, so no request may block it. A
thread that computes yields the interpreter when others want it; several such threads would take
turns with each other, and the loop would wait for all of them. So there is only one.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final, NoReturn, TypeVar

import trio

T = TypeVar("T")

_M_MMAP_THRESHOLD: Final = -3  # of glibc's mallopt
_LARGE: Final = 262_144
_NEW_OBJECTS: Final = 20_000
"""New objects after which garbage is collected; at most some 4 MB of cycles."""

SMALL: Final = 65_536
"""Bytes of JSON above which a thread is worth it: in the loop these take a few milliseconds."""
MOST_AT_WORK: Final = 67_108_864
"""Bytes of large bodies that are being read, parsed and made durable at once: 64 MiB."""
TURN: Final = 0.0005
"""Seconds after which a job yields the interpreter. The loop releases it at each system call, ten
times for a probe, and would otherwise wait for Python's default of 5 ms each time."""
_USUAL_TURN: Final = 0.005
QUIET: Final = 2.0
"""Seconds without a job after which the memory of past jobs is given back."""


def tune_memory() -> None:
    """Give the memory of large bodies back at once, and collect garbage less often.

    Otherwise glibc keeps large blocks once it has seen a few: 200 MB after five bodies of 16 MB.
    Nearly everything that a message allocates is freed with its last reference, and the collector
    would scan waiting connections again and again; objects from startup live to the end.
    """
    with suppress(OSError, AttributeError, ValueError):  # other C libraries lack it
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)


class Offload:
    """One thread for long computations, and the memory budget that large bodies share."""

    def __init__(self, most_bytes: int = MOST_AT_WORK) -> None:
        self.room = Room(most_bytes)
        self._limiter = trio.CapacityLimiter(1)
        self._at_work = 0
        self._worked = trio.Event()

    async def run(self, job: Callable[[], T]) -> T:
        """What `job` returns or raises, run in the thread when its turn comes.

        A cancellation takes effect only when the job has ended.
        """
        self._at_work += 1
        try:
            return await trio.to_thread.run_sync(partial(_in_turns, job), limiter=self._limiter)
        finally:
            self._at_work -= 1
            self._worked.set()

    async def run_if(self, is_long: bool, job: Callable[[], T]) -> T:  # noqa: FBT001 - the point of it
        """What `job` returns or raises, run in the thread if it takes long."""
        return await self.run(job) if is_long else job()

    async def give_memory_back(self) -> NoReturn:
        """Give back what jobs have left each time none has come for a while, until cancelled."""
        while True:
            await self._worked.wait()
            while self._worked.is_set() or self._at_work:
                self._worked = trio.Event()
                await trio.sleep(QUIET)
            await trio.to_thread.run_sync(_give_memory_back)


def _in_turns(job: Callable[[], T]) -> T:
    """Run a job that yields the interpreter to others after short turns."""
    sys.setswitchinterval(TURN)
    try:
        return job()
    finally:
        sys.setswitchinterval(_USUAL_TURN)


def _give_memory_back() -> None:
    """Collect garbage, which may hold large texts in a few objects, and free pages."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library has no such thing
        ctypes.CDLL(None).malloc_trim(0)


class Claim:
    """A part of a room; releasing it again does nothing."""

    def __init__(self, room: Room, size: int) -> None:
        self._room = room
        self._size = size

    def shrink(self, size: int) -> None:
        """Keep only `size` bytes of it."""
        if size < self._size:
            self._room.give_back(self._size - size)
            self._size = size

    def release(self) -> None:
        """Give all of it back."""
        self.shrink(0)


class Room:
    """A budget of bytes, first come, first served; others wait in order."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._waiting: deque[tuple[int, trio.Event]] = deque()

    @property
    def waiting(self) -> int:
        """How many callers wait for their part."""
        return len(self._waiting)

    def try_claim(self, size: int) -> Claim | None:
        """Take a part if it is free now and nobody waits."""
        size = min(size, self.size)
        if self._waiting or size > self._free:
            return None
        self._free -= size
        return Claim(self, size)

    async def claim(self, size: int) -> Claim:
        """Take a part; a claim larger than the whole room takes all of it."""
        if (claim := self.try_claim(size)) is not None:
            return claim
        size = min(size, self.size)
        await self._wait(size)
        return Claim(self, size)

    @asynccontextmanager
    async def claimed(self, size: int) -> AsyncGenerator[Claim]:
        """Hold a part while the body runs."""
        claim = await self.claim(size)
        try:
            yield claim
        finally:
            claim.release()

    def give_back(self, size: int) -> None:
        """Return a part, for those that wait."""
        self._free += size
        self._serve()

    async def _wait(self, size: int) -> None:
        entry = size, trio.Event()
        self._waiting.append(entry)
        try:
            await entry[1].wait()
        except BaseException:
            if entry[1].is_set():
                self.give_back(size)
            else:
                self._waiting.remove(entry)
                self._serve()
            raise

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            size, turn = self._waiting.popleft()
            self._free -= size
            turn.set()
