"""Pauses that a provider asks for, told to the other replicas on the board of shares.

Nobody starts a call before the first exchange, so a replica that begins knows of a pause before
its first call; the others learn of it with their next exchange. Each counts what is left by its own
clock from when it first saw the pause, and writes that down: so whoever comes later waits as long
as those who were there, and only when all were away a wall clock tells how long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import trio

from carillon.actors.share_sheet import Pause, Sheet

if TYPE_CHECKING:
    from datetime import datetime

    from carillon.actors.guard import Guard

AWAY: Final = 5.0
"""Seconds after which nobody has written on a board that somebody looks after; clocks may differ
by less."""


class PausesOnBoard:
    """The pauses of one provider, as one replica knows them; `news` is told of its own."""

    def __init__(self, me: str, guard: Guard, news: Callable[[], None]) -> None:
        self._me = me
        self._guard = guard
        self._news = news
        self._number = 0
        self._id = ""
        guard.on_pause(self._noted)

    def _noted(self) -> None:
        self._number += 1
        self._id = f"{self._me}/{self._number}"
        self._news()

    def exchanged(self, sheet: Sheet, wall: datetime) -> Sheet:
        """Learn of a pause from a sheet; the sheet as it says what is known now."""
        found, now = sheet.pause, wall.timestamp()
        if found is not None and found.id != self._id:
            left = found.left - max(0.0, now - found.at - AWAY)
            if self._guard.pause_for(left):
                self._id = found.id
        left = self._guard.paused_until - trio.current_time()
        return replace(sheet, pause=Pause(self._id, left, now) if left > 0 else None)
