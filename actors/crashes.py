"""How often something crashed lately: Erlang's restart intensity and period."""

from __future__ import annotations

from collections import deque

import trio


class Crashes:
    """Crashes within the last `window` seconds; more than `most` of them are too many."""

    def __init__(self, most: int, window: float) -> None:
        self.total = 0
        self._most = most
        self._window = window
        self._times: deque[float] = deque()

    def add(self) -> None:
        """One happened now."""
        self.total += 1
        self._times.append(trio.current_time())

    def forgive(self) -> None:
        """Begin anew."""
        self._times.clear()

    @property
    def recent(self) -> int:
        """How many there were within the window."""
        oldest = trio.current_time() - self._window
        while self._times and self._times[0] < oldest:
            self._times.popleft()
        return len(self._times)

    @property
    def too_many(self) -> bool:
        """Whether there were more than is tolerated."""
        return self.recent > self._most
