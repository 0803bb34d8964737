"""One call to a provider: its start stamped, its deadline kept, its end told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from carillon.actors.provider.lease import ShareEnded
from carillon.messages.events import AttemptEnded, AttemptResult
from carillon.messages.model import (
    Accepted,
    Attempt,
    Cause,
    Postponed,
    Refused,
    Unanswered,
    Unavailable,
)
from carillon.messages.ports.journal import AttemptEnd

if TYPE_CHECKING:
    from carillon.actors.provider.rate_limit import Slot
    from carillon.messages.envelope import Envelope
    from carillon.messages.ports.records import Result
    from carillon.providers.ports import Provider


from carillon.messages.model import Outcome, Reason
from carillon.messages.record import record

STRAY: Final = "Outcome unknown: the provider sent an answer too many on the same connection"

_TIMEOUT: Final = Cause("timeout")

Made = Accepted | Refused | Unavailable | Unanswered
"""What came of an attempt that counts."""


class Overdue(Exception):
    """The time for a call to start is over."""


class Call:
    """A call and what is known of its progress.

    `timeout` is in seconds, the connection included, and `latest` the moment at which it is over.
    Until the first byte has left `deadline` is also the one at which the delivery expires.
    `repeatable` says that a provider recognises a repeat: see `Envelope.open_attempt`. `tries`
    counts the calls to this provider for the delivery, which `came_from` the one that tried it
    before. It `is_prevented` when the share it was promised on had ended before its first byte
    could leave.
    """

    __slots__ = (
        "_slot",
        "came_from",
        "deadline",
        "envelope",
        "is_prevented",
        "latest",
        "provider_name",
        "repeatable",
        "started_at",
        "timeout",
        "tries",
    )

    def __init__(
        self,
        provider_name: str,
        envelope: Envelope,
        slot: Slot,
        timeout: float,
        tries: int,
        *,
        came_from: str | None,
        repeatable: bool,
    ) -> None:
        self.provider_name = provider_name
        self.envelope = envelope
        self.timeout = timeout
        self.tries = tries
        self.repeatable = repeatable
        self.came_from = came_from
        self.is_prevented = False
        self.started_at: float | None = None
        self._slot = slot
        self.latest = trio.current_time() + timeout
        self.deadline = min(self.latest, envelope.expires_at)

    async def run(self, provider: Provider) -> Attempt | None:
        """Make the call. Whoever runs it cancels it at its deadline.

        None when it was prevented: no byte has left.
        """
        try:
            return await provider.send(self.envelope.delivery, self)
        except ShareEnded:
            self.is_prevented = True
            return None
        except Overdue:
            return self.overdue()

    def overdue(self) -> Attempt | None:
        """What came of a call that was cancelled; None when its delivery expired unsent."""
        if self.started_at is not None:
            return Unanswered(f"no answer within {self.timeout:g} s", _TIMEOUT)
        if self.envelope.expires_at < self.latest:
            return None
        return Unavailable(f"no connection within {self.timeout:g} s", cause=_TIMEOUT)

    def __call__(self) -> float:
        """Its first byte is about to leave: see `Started`, which it is to its provider."""
        now = trio.current_time()
        if self.started_at is not None:
            self._slot.start_again()
        elif now > self.deadline:  # the process stood still, and nobody has cancelled it yet
            raise Overdue
        else:
            self._slot.start(now)  # nothing is awaited from here to the first byte
            self.deadline = self.latest  # it has left in time: the answer may take longer
            envelope = self.envelope
            envelope.open_attempt = self.provider_name
            envelope.repeatable = self.repeatable
        self.started_at = now
        return self.latest

    def doubt(self) -> None:
        """See `Doubtable`: the answer to it may have been to another call."""
        self.envelope.doubt(self.provider_name, STRAY)

    def ended(self, attempt: Attempt | None) -> AttemptEnd:
        """What the journal is told when the delivery goes on after this call."""
        envelope = self.envelope
        delivery = envelope.delivery
        result: Result = "unstarted"
        if self.started_at is not None and not isinstance(attempt, Postponed | None):
            result = kind(attempt)
        error = "" if attempt is None or isinstance(attempt, Accepted) else attempt.error
        return AttemptEnd(
            delivery.dispatch_id, delivery.channel, delivery.key, envelope.starts, result, error
        )

    def report(self, attempt: Made) -> AttemptEnded:
        """What observers are told."""
        delivery = self.envelope.delivery
        started_at = self.started_at
        seconds = 0.0 if started_at is None else trio.current_time() - started_at
        ids = delivery.id, delivery.dispatch_id, delivery.channel, self.provider_name
        if isinstance(attempt, Accepted):
            return AttemptEnded(*ids, "accepted", seconds, status=attempt.status)
        cause = attempt.cause
        return AttemptEnded(
            *ids,
            result=kind(attempt),
            seconds=seconds,
            error=attempt.error,
            status=None if cause is None else cause.status,
            kind=None if cause is None else cause.kind,
        )


def kind(attempt: Made) -> AttemptResult:
    """An attempt's end in one word."""
    match attempt:
        case Accepted():
            return "accepted"
        case Refused():
            return "refused"
        case Unavailable(throttled=True):
            return "throttled"
        case Unavailable():
            return "unavailable"
    return "unanswered"


@record(frozen=True, slots=True)
class Finish:
    """The delivery has its outcome."""

    outcome: Outcome
    reason: Reason
    error: str = ""
    message_id: str | None = None


@record(frozen=True, slots=True)
class RetryAfter:
    """The next attempt is due in so many seconds."""

    seconds: float


@record(frozen=True, slots=True)
class NextProvider:
    """Every attempt this provider grants failed in passing."""

    error: str


@record(frozen=True, slots=True)
class Requeue:
    """The call was not made, and does not count: the delivery waits as it did before."""


Decision = Finish | RetryAfter | NextProvider | Requeue
