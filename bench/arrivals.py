"""When messages came in at a provider, and whether a rate that was changed meanwhile was kept."""

from __future__ import annotations

import json
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 1.0
_BUCKET: Final = 0.1


class Clock:
    """Keeps the time at which each message came, on the clock that all processes share."""

    def __init__(self) -> None:
        self._arrivals: list[float] = []

    @property
    def count(self) -> int:
        """Messages so far."""
        return len(self._arrivals)

    def add(self, _body: bytes) -> None:
        """Note one message."""
        self._arrivals.append(time.monotonic())

    def take(self) -> bytes:
        """The times as JSON; noting begins anew."""
        taken, self._arrivals = self._arrivals, []
        return json.dumps(taken).encode()


@dataclass(frozen=True, slots=True)
class Setting:
    """A rate a second: asked for at one time, and surely in force from the other on."""

    limit: int
    asked: float
    answered: float


@dataclass(frozen=True, slots=True)
class Change:
    """A rate that was changed while a dispatch was under way; times are in seconds.

    `shown_after` counts from the request: until the last arrival that the new rate forbids, or,
    when it rose, until the first that the old one forbade; None when that never came.
    """

    before: int
    after: int
    at: float
    answered_after: float
    shown_after: float | None


def window_counts(arrivals: Sequence[float]) -> list[int]:
    """For each arrival how many there were in the window that ends with it; `arrivals` ascend."""
    return [number - bisect_right(arrivals, at - WINDOW) for number, at in enumerate(arrivals, 1)]


def changes(arrivals: Sequence[float], settings: Sequence[Setting]) -> list[Change]:
    """When each setting but the first showed in what arrived."""
    counts = window_counts(arrivals)
    ends = [later.asked for later in settings[2:]] + [float("inf")]
    found = []
    for before, after, end in zip(settings, settings[1:], ends, strict=False):
        times = [
            at - after.asked
            for at, count in zip(arrivals, counts, strict=True)
            if after.asked < at <= end and count > min(before.limit, after.limit)
        ]
        fell = after.limit < before.limit
        shown = max(times, default=0.0) if fell else min(times, default=None)
        asked, took = after.asked - settings[0].asked, after.answered - after.asked
        found.append(Change(before.limit, after.limit, asked, took, shown))
    return found


def exceeded(arrivals: Sequence[float], settings: Sequence[Setting]) -> int:
    """Arrivals that no setting allows that was in force at any time of the window they end."""
    ends = [later.answered for later in settings[1:]] + [float("inf")]
    return sum(
        count
        > max(
            setting.limit
            for setting, end in zip(settings, ends, strict=True)
            if setting.asked <= at and end >= at - WINDOW
        )
        for at, count in zip(arrivals, window_counts(arrivals), strict=True)
    )


def most_between(arrivals: Sequence[float], settings: Sequence[Setting]) -> list[int]:
    """The fullest window that lies within each setting's time, from its answer to the next."""
    ends = [later.asked for later in settings[1:]] + [float("inf")]
    pairs = list(zip(arrivals, window_counts(arrivals), strict=True))
    return [
        max((count for at, count in pairs if setting.answered + WINDOW <= at <= end), default=0)
        for setting, end in zip(settings, ends, strict=True)
    ]


def buckets(arrivals: Sequence[float], start: float) -> list[int]:
    """How many came in each 100 ms from the start on."""
    found = [0] * (int((max(arrivals, default=start) - start) / _BUCKET) + 1)
    for at in arrivals:
        found[max(0, int((at - start) / _BUCKET))] += 1
    return found
