"""How much of a provider each replica is entitled to: as much as those whose messages wait there.

Callers take turns at each replica. That is fair over all replicas only when a replica where twenty
callers wait has more of the provider than one where a single caller does. So each replica says on
the board whose messages wait there, and each of them computes from that the same parts: lanes share
a provider by their weight, callers share a lane by theirs, and the part of a caller is divided
equally among the replicas where it waits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from carillon.actors.inbox import WEIGHTS
from carillon.messages.model import Priority

Waiting = Mapping[Priority, Mapping[str, int]]
"""Whose messages wait somewhere: the weight of each caller by its lane."""

SCALE: Final = 10_000
"""What all parts come to together."""
MOST_NAMED: Final = 64
"""Callers of a lane that a replica names; it tells the weight of the others in one sum."""
_OTHERS: Final = "…"


NOBODY: Final[Waiting] = {}
WaitingAt = Callable[[str], Waiting]
"""Whose messages wait for a provider, by its name."""


def nobody(_: str) -> Waiting:
    """No message waits, whatever the provider."""
    return NOBODY


def merged(several: Iterable[Waiting]) -> Waiting:
    """Whose messages wait in any of these, callers beyond `MOST_NAMED` of a lane in one sum."""
    lanes: dict[Priority, dict[str, int]] = defaultdict(dict)
    for one in several:
        for lane, callers in one.items():
            lanes[lane].update(callers)
    return {lane: _named(callers) for lane, callers in lanes.items() if callers}


def _named(callers: Mapping[str, int]) -> Mapping[str, int]:
    if len(callers) <= MOST_NAMED:
        return callers
    names = sorted(callers)
    named = {name: callers[name] for name in names[: MOST_NAMED - 1]}
    return {**named, _OTHERS: sum(callers[name] for name in names[MOST_NAMED - 1 :])}


def entitled(waiting: Mapping[str, Waiting]) -> Mapping[str, int]:
    """The part of each replica, of `SCALE` in all; at least 1, and equal while nobody waits.

    One that names nobody counts as a replica where one caller of its own waits.
    """
    places = {replica: one or {"normal": {f"\n{replica}": 1}} for replica, one in waiting.items()}
    lanes = {lane for one in places.values() for lane in one}
    all_lanes = sum(WEIGHTS[lane] for lane in lanes)
    part = dict.fromkeys(places, 0.0)
    for lane in lanes:
        callers = {name: one[lane] for name, one in places.items() if lane in one}
        weights: Counter[str] = Counter()
        homes = Counter(caller for one in callers.values() for caller in one)
        for one in callers.values():
            weights |= Counter(one)
        of_lane = WEIGHTS[lane] / all_lanes / weights.total()
        for replica, one in callers.items():
            part[replica] += of_lane * sum(weights[name] / homes[name] for name in one)
    return {replica: max(1, round(SCALE * one)) for replica, one in part.items()}
