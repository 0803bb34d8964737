"""Ends calls that take too long: one task for all calls of a channel.

A cancel scope with a deadline for each call costs more than a pass of the scheduler. So a worker
has one scope for all its calls, and this cancels it when the one that is open is overdue.
"""

from __future__ import annotations

from math import inf
from typing import Final

import trio

from carillon.actors.call import Call

LATE: Final = 0.1
GRACE: Final = 0.1
"""Whoever comes by so much too late was stopped, and answers may have come meanwhile: so long
there is time to read them. A call that has not started by then does not start any more."""


class Timekeeper:
    """Knows every open call, and the scope to cancel when it is overdue."""

    def __init__(self) -> None:
        self._open: dict[Call, trio.CancelScope] = {}
        self._wakes_at = inf
        self._news = trio.Event()

    def open(self, call: Call, scope: trio.CancelScope) -> None:
        """Watch a call: `scope` is cancelled at its deadline, which may still be moved later."""
        self._open[call] = scope
        if call.deadline < self._wakes_at:
            self._wakes_at = call.deadline
            self._news.set()

    def close(self, call: Call) -> bool:
        """The call is over; False when it was overdue, and its scope cancelled."""
        return self._open.pop(call, None) is not None

    async def run(self) -> None:
        """Cancel what is overdue, for ever."""
        while True:
            self._news = trio.Event()
            self._wakes_at = min((call.deadline for call in self._open), default=inf)
            with trio.move_on_at(self._wakes_at) as scope:
                await self._news.wait()
            if scope.cancelled_caught and trio.current_time() > self._wakes_at + LATE:
                await trio.sleep(GRACE)
            now = trio.current_time()
            # One that does not end for all that is not looked at again and again.
            for call in [call for call in self._open if call.deadline <= now]:
                self._open.pop(call).cancel()
