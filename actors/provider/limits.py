"""What a provider's section of the configuration allows, and what a guard tells of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from carillon.actors.provider.breaker import BreakerSettings, BreakerState
from carillon.actors.provider.quota import Quota
from carillon.actors.provider.rate_limit import Rate, WindowUse
from carillon.messages.events import AttemptResult

Hold = Literal[
    "paused", "draining", "throttled", "breaker", "share", "quota", "rate", "concurrency"
]
"""Why a call must wait: `share` when the one that this replica had of the limits has ended."""


@dataclass(frozen=True, slots=True)
class Retry:
    """`attempts` counts all calls, the first included; delays are in seconds."""

    attempts: int = 8
    first_delay: float = 0.5
    max_delay: float = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one provider may be asked for; `timeout` is in seconds.

    `paused` starts nothing, `draining` only goes on with deliveries that it has tried before.
    """

    concurrency: int = 20
    rates: tuple[Rate, ...] = ()
    quota: Quota | None = None
    timeout: float = 30.0
    retry: Retry = field(default_factory=Retry)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    on_unknown_outcome: Literal["hold", "retry"] = "hold"
    paused: bool = False
    draining: bool = False


@dataclass(frozen=True, slots=True)
class ProviderError:
    """The last error of a kind and how many there were; `at` is in seconds since 1970."""

    kind: AttemptResult
    count: int
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """A guard at one moment.

    `hold` says why a new call must wait, None when it need not; `opens_in` for how many seconds,
    None when that depends on calls that are open. `paused_for` is what is left of a pause that
    the provider asked for.
    """

    in_flight: int
    breaker: BreakerState
    failures_in_row: int
    paused_for: float
    hold: Hold | None
    opens_in: float | None
    windows: Sequence[WindowUse]
    quota_left: int | None
    quota_ends: datetime | None
    errors: Sequence[ProviderError]
