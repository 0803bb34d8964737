"""Waits until the start of an attempt is on record."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from carillon.messages.errors import JournalUnavailable
from carillon.messages.ports.journal import AttemptLog, AttemptStart


async def start(journal: AttemptLog, attempt: AttemptStart) -> None:
    """Have one start made durable. Raises what it failed with."""
    told, failed = trio.Event(), list[JournalUnavailable]()

    def hear(failures: Mapping[int, JournalUnavailable]) -> None:
        failed.extend(failures.values())
        told.set()

    journal.start_all([attempt], hear)
    await told.wait()
    if failed:
        raise failed[0]
