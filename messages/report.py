"""What a caller is told of a dispatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from carillon.messages.model import Channel, Outcome


@dataclass(frozen=True, slots=True)
class Failure:
    """One entry of the answer's `failures`."""

    user_id: str
    channel: Channel
    error: str


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of a dispatch at one moment; `failures` is bounded, the numbers are not."""

    dispatch_id: str
    failures: Sequence[Failure]
    failures_total: int
    pending: int
    counts: Mapping[Outcome, int]
