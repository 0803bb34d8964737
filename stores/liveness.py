"""Who of several processes that share a store is alive, told by the beats that each of them writes.

No clock is compared with another machine's. Each beat gives its writer a lease of `LEASE` seconds
of its own clock, from when it began to write it. Who has seen the same beat for longer than that,
by a clock of its own and looking all the while, knows the lease to be over: a store that was away
proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LEASE: Final = 3.0
"""Seconds for which a lease is good, from the beginning of the write that renewed it."""
GAP: Final = 2.0
"""Seconds without a look after which nobody is dead: the store may have been away."""


@dataclass(slots=True)
class _Seen:
    beat: int
    since: float  # of the beat
    lives_since: float  # that, or the end of the last gap


class LivenessDetector:
    """What one process has seen of the beats in one place.

    A writer is dead once its beat has not changed for `patience` seconds, more than `LEASE`.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._seen: dict[str, _Seen] = {}
        self._looked = 0.0

    def look(self, beats: Mapping[str, int], now: float) -> None:
        """The last beat of each has been read, and the answer came `now`."""
        looked, self._looked = self._looked, now
        before, self._seen = self._seen, {}
        for name, beat in beats.items():
            seen = before.get(name)
            if seen is None or seen.beat != beat:
                seen = _Seen(beat, now, now)
            elif now - looked > GAP and looked - seen.lives_since < self._patience:
                seen.lives_since = now
            self._seen[name] = seen

    def lives(self, name: str, now: float) -> bool:
        """Whether a writer that was there at the last look is to be reckoned with."""
        return now - self._seen[name].lives_since < self._patience

    def unchanged_for(self, name: str, now: float) -> float:
        """For how many seconds its beat has been the same, gaps included."""
        return now - self._seen[name].since
