"""The thread that writes the embedded journal's tables: one commit for all who wait.

Whatever is handed over while a commit runs goes into the next one together. What nobody waits for
lingers a moment for company.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import Enum, auto
from queue import Empty, SimpleQueue
from typing import Final

import trio

from carillon.stores.sqlite_group import Group
from carillon.stores.sqlite_ledger import Closing, Ledger, Write

MOST_A_COMMIT: Final = 500

LINGER: Final = 0.02
"""Seconds that a write nobody waits for waits for one that somebody waits for."""


def trouble(error: Exception) -> str:
    """Why nothing was written, as the system says it; what a bug says may hold anything."""
    if isinstance(error, OSError):
        return (error.strerror or "the file cannot be written").lower()
    return str(error) if isinstance(error, sqlite3.Error) else "an internal error"


RETRY: Final = 1.0
"""Seconds after which what could not be committed is tried again, whoever else comes."""


class Mark(Enum):
    """What the writers are told besides writes."""

    END = auto()


class TableWriter:
    """Commits writes and the groups of the redo log. `broken` says why the last one failed."""

    def __init__(self, ledger: Ledger, token: trio.lowlevel.TrioToken) -> None:
        self.queue: SimpleQueue[Write | Group | Mark] = SimpleQueue()
        self.ledger = ledger
        self.broken: str | None = None
        self._token = token

    def run(self) -> None:
        """Write until told that this is the end."""
        groups: list[Group] = []  # kept until a commit has them
        going_on = True
        while going_on:
            batch = self._next_batch()
            going_on = Mark.END not in batch
            groups += (item for item in batch if isinstance(item, Group))
            writes = [item for item in batch if isinstance(item, Write)]
            if self._commit(groups, writes):
                groups = []
            if writes:
                self._token.run_sync_soon(_wake, writes)
            del batch, writes  # the next one may be long in coming, and this one be large

    def _commit(self, groups: Sequence[Group], writes: Sequence[Write]) -> bool:
        try:
            self.ledger.commit(groups, writes)
        except Exception as error:  # a writer that died would leave everybody waiting
            self.broken = trouble(error)
            for write in writes:
                write.failed = True
            return False
        self.broken = None
        return True

    def _next_batch(self) -> list[Write | Group | Mark]:
        batch: list[Write | Group | Mark] = []
        with suppress(Empty):
            batch.append(self.queue.get(timeout=None if self.broken is None else RETRY))
            until = time.monotonic() + LINGER
            while _can_wait(batch[-1]):
                batch.append(self.queue.get(timeout=max(0.0, until - time.monotonic())))
            while len(batch) < MOST_A_COMMIT:
                batch.append(self.queue.get_nowait())
        return batch


def _can_wait(item: Write | Group | Mark) -> bool:
    """Whether nobody waits for it who is in a hurry."""
    return isinstance(item, Group | Closing)


def _wake(writes: Iterable[Write]) -> None:
    for write in writes:
        write.done.set()
