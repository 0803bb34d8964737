"""What was measured, run by run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.costs import Cost
from bench.load import Load


@dataclass(frozen=True, slots=True)
class FanOut:
    """One contender sent a message each to so many users.

    `provider_share` is what the receiving program used of a core: near 1 it was the bottleneck.
    """

    contender: str
    users: int
    turn: int
    cost: Cost
    provider_share: float
    others_cores: float

    @property
    def per_second(self) -> float:
        """Messages a second."""
        return self.users / self.cost.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a message."""
        return self.cost.cpu_seconds / self.users * 1e6


@dataclass(frozen=True, slots=True)
class Small:
    """One contender answered small requests of so many callers."""

    contender: str
    callers: int
    turn: int
    load: Load
    server_cpu_seconds: float
    others_cores: float

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.load.requests / self.load.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of the server's CPU a request."""
        return self.server_cpu_seconds / self.load.requests * 1e6


@dataclass(frozen=True, slots=True)
class Compared:
    """One turn of a checkout, `this` or the `other`."""

    checkout: str
    pair: int
    per_second: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Isolation:
    """What callers of one channel saw, while the other channel's provider stalled or without."""

    turn: int
    stalled: bool
    load: Load
    mailbox_depth: int
    others_cores: float


@dataclass(frozen=True, slots=True)
class Million:
    """One dispatch to very many users, and what callers of small ones saw meanwhile."""

    users: int
    cost: Cost
    small: Load
    provider_share: float
    others_cores: float

    @property
    def grown_mb(self) -> float:
        """The most that was resident above what was before the dispatch."""
        return self.cost.peak_mb - self.cost.idle_mb


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


@dataclass(frozen=True, slots=True)
class Live:
    """A dispatch whose provider was tuned; `buckets` are arrivals in each 100 ms."""

    users: int
    changes: Sequence[Change]
    most_in_a_window: Sequence[int]
    exceeded: int
    buckets: Sequence[int]


@dataclass(frozen=True, slots=True)
class Station:
    """What one part of the way of a message took; `files` are its dearest, with their share."""

    name: str
    cpu_us: float
    files: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the CPU of one message goes. The stations sum up to `cpu_us`."""

    work: str
    messages: int
    cpu_us: float
    per_second: float
    stations: Sequence[Station]


@dataclass(frozen=True, slots=True)
class Traced:
    """How many files one way through the code passes, and how often it changes from one to another.

    `files` and `changes` are of the calls on the event loop; `all_files` and `all_changes` of those
    in other threads too, `first_changes` of the first call of each function. `pairs` are the files
    between which the loop changes most, and how often.
    """

    way: str
    files: int
    changes: int
    all_files: int
    all_changes: int
    first_changes: int
    pairs: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Kill:
    """One random kill: what the next start took longer than one with an empty journal, in seconds.

    `in_doubt` deliveries were found then; `same` tells whether the caller met its dispatch again.
    """

    slower: float
    in_doubt: int
    same: bool


@dataclass(frozen=True, slots=True)
class Killed:
    """A dispatch whose process was killed: what became of its deliveries.

    `worst` is the most that one kill at a point left in doubt, or had doubled.
    """

    title: str
    users: int
    concurrency: int
    lost: int = 0
    doubled: int = 0
    in_doubt: int = 0
    most_open: int = 0
    kills: Sequence[Kill] = ()
    points: int = 0
    worst: int = 0

    def with_point(self, found: Killed) -> Killed:
        """This and what one more point came to."""
        return replace(
            self,
            lost=self.lost + found.lost,
            doubled=self.doubled + found.doubled,
            in_doubt=self.in_doubt + found.in_doubt,
            most_open=max(self.most_open, found.most_open),
            points=self.points + 1,
            worst=max(self.worst, found.doubled, found.in_doubt),
        )


@dataclass(frozen=True, slots=True)
class Replicated:
    """Dispatches of several replicas that share the limits of one provider.

    `used` is the share of the rate that was used; `taken_over` is in seconds, until more of a dead
    replica's dispatch was under way.
    """

    title: str
    users: int
    rate: int
    concurrency: int
    most_in_a_window: int
    most_open: int
    used: float
    lost: int
    doubled: int
    in_doubt: int
    taken_over: float | None = None
