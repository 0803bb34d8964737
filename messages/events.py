"""What happened, as small records for observers: log, metrics, journal.

Observers are synchronous and quick. None of these records holds an address or a text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from messages.model import Channel, Outcome, Receipt

AttemptResult = Literal["accepted", "refused", "unavailable", "throttled", "unanswered"]


@dataclass(frozen=True, slots=True)
class DispatchAccepted:
    """A request was validated and its first recipients resolved."""

    dispatch_id: str
    channels: Sequence[Channel]


@dataclass(frozen=True, slots=True)
class DispatchResumed:
    """A dispatch goes on that an earlier process left, or that is driven again."""

    dispatch_id: str
    channels: Sequence[Channel]


@dataclass(frozen=True, slots=True)
class DispatchEnded:
    """The last delivery of a dispatch ended; `seconds` is its whole life."""

    dispatch_id: str
    counts: Mapping[Outcome, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class DispatchCrashed:
    """A bug of ours cut a dispatch short."""

    dispatch_id: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class DirectoryFailed:
    """A part of an audience could not be read after deliveries had left."""

    dispatch_id: str
    error: str


@dataclass(frozen=True, slots=True)
class DeliveryEnded:
    """A delivery has its outcome."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """One call to a provider is over; `seconds` counts from the first byte."""

    delivery_id: str
    dispatch_id: str
    channel: Channel
    provider: str
    result: AttemptResult
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class BreakerMoved:
    """A provider's breaker changed its state."""

    provider: str
    state: Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True)
class WorkerCrashed:
    """A worker raised, which is a bug; it will be started again."""

    channel: Channel
    error: BaseException
    delivery_id: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerStuck:
    """A worker held a message past its call's timeout, which is a bug; it is replaced."""

    channel: Channel
    provider: str
    seconds: float
    delivery_id: str


@dataclass(frozen=True, slots=True)
class ChannelQuarantined:
    """A channel crashed more often than its specification tolerates."""

    channel: Channel
    restarts: int
    error: BaseException = field(repr=False)


@dataclass(frozen=True, slots=True)
class SagaEventTried:
    """A saga's event was posted, for the `attempts`-th time, and what came of it."""

    event_id: str
    result: Literal["accepted", "postponed", "parked"]
    attempts: int


@dataclass(frozen=True, slots=True)
class DeliveryConfirmed:
    """A provider's hook told what became of a message after it was taken."""

    delivery_id: str
    dispatch_id: str
    verdict: Literal["ok", "ko"]


CommandResult = Literal["accepted", "repeated", "refused", "skipped"]


@dataclass(frozen=True, slots=True)
class SagaCommandRead:
    """A record of a stream of commands was decided; `reason` says why it was skipped."""

    place: str
    result: CommandResult
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StreamMoved:
    """A stream of commands has partitions, was robbed of them, or something keeps it waiting."""

    state: Literal["joined", "lost", "troubled"]
    detail: str


Event = (
    DispatchAccepted
    | DispatchResumed
    | DispatchEnded
    | DispatchCrashed
    | DirectoryFailed
    | DeliveryEnded
    | AttemptEnded
    | BreakerMoved
    | WorkerCrashed
    | WorkerStuck
    | ChannelQuarantined
    | SagaEventTried
    | DeliveryConfirmed
    | SagaCommandRead
    | StreamMoved
)
Observer = Callable[[Event], None]


def tell_all(observers: Sequence[Observer]) -> Observer:
    """One observer that passes each event on to all of them, in order."""

    def observe(event: Event) -> None:
        for observer in observers:
            observer(event)

    return observe
