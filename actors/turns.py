"""Calls that must not run side by side take turns, named by what they share."""

from __future__ import annotations

import trio


class Turns:
    """One call at a time for each name; memory holds no more names than calls are open."""

    def __init__(self) -> None:
        self._locks: dict[str, trio.Lock] = {}

    def __len__(self) -> int:
        return len(self._locks)

    async def take(self, name: str | None) -> None:
        """Wait for the turn of a name, first come, first served; None never waits."""
        if name is None:
            return
        lock = self._locks.setdefault(name, trio.Lock())
        try:
            await lock.acquire()
        except BaseException:
            self._tidy(name, lock)
            raise

    def give_back(self, name: str | None) -> None:
        """End the turn that this task took."""
        if name is not None:
            lock = self._locks[name]
            lock.release()
            self._tidy(name, lock)

    def _tidy(self, name: str, lock: trio.Lock) -> None:
        # Released with others waiting it is theirs already. The last one takes it away, and one
        # that was cancelled while waiting must not take away a later lock of that name.
        if not lock.locked() and self._locks.get(name) is lock:
            del self._locks[name]
