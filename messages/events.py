"""What happened, as small records for observers: the log, metrics, a demo's screen.

Observers are synchronous and quick, and only observe: making an outcome durable and counting it are
explicit steps on a delivery's way. None of these records holds an address or a text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from carillon.messages.model import Cause, Channel, FailureKind, Outcome, Receipt
from carillon.messages.record import record

T = TypeVar("T")

AttemptResult = Literal["accepted", "refused", "unavailable", "throttled", "unanswered"]


@dataclass(frozen=True, slots=True)
class DispatchAccepted:
    """A request was validated and its first recipients resolved."""

    dispatch_id: str
    channels: Sequence[Channel]


@dataclass(frozen=True, slots=True)
class DispatchResumed:
    """A dispatch that an earlier process left, or that is redriven, goes on."""

    dispatch_id: str
    channels: Sequence[Channel]


@dataclass(frozen=True, slots=True)
class DispatchEnded:
    """The last delivery of a dispatch ended; `seconds` is the dispatch's whole life."""

    dispatch_id: str
    counts: Mapping[Outcome, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class DispatchCrashed:
    """A bug of ours cut a dispatch short."""

    dispatch_id: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class DeliveryCrashed:
    """A bug of ours failed one delivery while it was composed; the others go on."""

    delivery_id: str
    dispatch_id: str
    channel: Channel
    error: BaseException


@dataclass(frozen=True, slots=True)
class DirectoryFailed:
    """A part of an audience could not be read after deliveries had left."""

    dispatch_id: str
    error: str


@record(frozen=True, slots=True)
class DeliveryEnded:
    """A delivery has its outcome."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class DeliveryDoubted:
    """An outcome that was reported may belong to another delivery: now it is in doubt."""

    receipt: Receipt


@record(frozen=True, slots=True)
class AttemptEnded:
    """One call to a provider is over; `seconds` counts from the first byte.

    `status` is that of its answer, `kind` says what went wrong, where they are known.
    """

    delivery_id: str
    dispatch_id: str
    channel: Channel
    provider: str
    result: AttemptResult
    seconds: float
    error: str = ""
    status: int | None = None
    kind: FailureKind | None = None


@dataclass(frozen=True, slots=True)
class BreakerMoved:
    """A provider's breaker changed its state, and why; `failures` in a row preceded that.

    `cause` is that of the failure that opened it, if there is one.
    """

    provider: str
    state: Literal["closed", "open", "half-open"]
    why: str = ""
    failures: int = 0
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class ProviderThrottled:
    """A provider asks for a longer pause than was known, in seconds, and says why."""

    provider: str
    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class StoreMoved:
    """The store cannot be written any more, and why; or it can be written again."""

    state: Literal["troubled", "mended"]
    store: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionsLacking:
    """Calls to a provider wait because we lack something: descriptors, buffers, ports.

    It is reported when the shortage begins, not for each call.
    """

    provider: str
    error: str


@dataclass(frozen=True, slots=True)
class LimitsProposed:
    """What a provider's account allows while its `rate` is open, or `why` that is not known.

    `windows` are calls and seconds.
    """

    provider: str
    windows: Sequence[tuple[int, float]]
    why: str


@dataclass(frozen=True, slots=True)
class WorkerCrashed:
    """A worker raised, which is a bug; it will be restarted."""

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
    """A saga's event was posted, for the `attempts`-th time, and what came of it.

    `why` is what the other side said about an event that it did not take.
    """

    event_id: str
    result: Literal["accepted", "postponed", "parked"]
    attempts: int
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class SagaEventCrashed:
    """A bug of ours kept an event from being posted; it is tried again."""

    event_id: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class SagaCommandRefused:
    """A command was not carried out.

    `key` is its saga's id, if the command has one. `why` holds no value of the command.
    """

    key: str | None
    why: str


@dataclass(frozen=True, slots=True)
class DeliveryConfirmed:
    """A provider's hook reported what became of a message that the provider had accepted."""

    delivery_id: str
    dispatch_id: str
    verdict: Literal["ok", "ko"]


CommandResult = Literal["accepted", "repeated", "refused", "skipped"]


@dataclass(frozen=True, slots=True)
class SagaCommandRead:
    """A record of a stream of commands was handled; `reason` says why it was skipped."""

    place: str
    result: CommandResult
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StreamMoved:
    """A stream of commands was assigned partitions, lost them, or waits for something."""

    state: Literal["joined", "lost", "troubled"]
    detail: str


Event = (
    DispatchAccepted
    | DispatchResumed
    | DispatchEnded
    | DispatchCrashed
    | DeliveryCrashed
    | DirectoryFailed
    | DeliveryEnded
    | DeliveryDoubted
    | AttemptEnded
    | BreakerMoved
    | ProviderThrottled
    | StoreMoved
    | ConnectionsLacking
    | LimitsProposed
    | WorkerCrashed
    | WorkerStuck
    | ChannelQuarantined
    | SagaEventTried
    | SagaEventCrashed
    | SagaCommandRefused
    | DeliveryConfirmed
    | SagaCommandRead
    | StreamMoved
)
Observer = Callable[[Event], None]


OnFailure = Callable[[object, Exception], None]
"""Called with the event that an observer got and the error that it raised. It must not raise."""


def tell_all(observers: Sequence[Observer], on_failure: OnFailure) -> Observer:
    """One observer that passes each event on to all of them, in order.

    It never raises: if one of them raises, `on_failure` gets the error and the next one the event.
    """

    def observe(event: Event) -> None:
        for observer in observers:
            try:
                observer(event)
            except Exception as error:
                on_failure(event, error)

    return observe


def fenced(listener: Callable[[T], None], on_failure: OnFailure) -> Callable[[T], None]:
    """A listener that never raises: `on_failure` gets the errors of this one."""

    def listen(told: T) -> None:
        try:
            listener(told)
        except Exception as error:
            on_failure(told, error)

    return listen
