"""Calls that must not run side by side take turns, named by what they share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Turns:
    """One call at a time for each name; memory holds no more names than calls are open or wait."""

    def __init__(self) -> None:
        self._taken: dict[str, deque[Callable[[], None]]] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, name: str | None) -> bool:
        """Take the turn of a name if it is free; None always is."""
        if name is None:
            return True
        if name in self._taken:
            return False
        self._taken[name] = deque()
        return True

    def when_free(self, name: str, call: Callable[[], None]) -> None:
        """Call once when the turn of a name is given back; first come, first called."""
        self._taken[name].append(call)

    def give_back(self, name: str | None) -> None:
        """End a turn that was taken, and call who waits for it."""
        if name is None:
            return
        # All of them: whoever does not get the turn then waits for it again.
        for call in self._taken.pop(name):
            call()
