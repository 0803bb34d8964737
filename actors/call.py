"""One call to a provider: bounded in time, its start stamped, its end told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import trio

from actors.rate import Slot
from messages.envelope import Envelope
from messages.events import AttemptEnded
from messages.model import Accepted, Attempt, Refused, Unanswered, Unavailable

if TYPE_CHECKING:
    from providers.ports import Provider


class Call:
    """A call and what is known of its progress.

    `repeatable` says that a provider recognises a repeat: see `Envelope.open_attempt`.
    """

    def __init__(
        self, provider_name: str, envelope: Envelope, slot: Slot, *, repeatable: bool
    ) -> None:
        self._provider_name = provider_name
        self._envelope = envelope
        self._slot = slot
        self._repeatable = repeatable
        self._started_at: float | None = None

    async def run(self, provider: Provider, timeout: float) -> Attempt:
        """Make the call; `timeout` is in seconds, the connection included."""
        with trio.move_on_after(timeout):
            return await provider.send(self._envelope.delivery, self._start)
        if self._started_at is None:
            return Unavailable(f"no connection within {timeout:g} s")
        return Unanswered(f"no answer within {timeout:g} s")

    def _start(self) -> None:
        if self._started_at is not None:
            return
        self._started_at = trio.current_time()
        self._slot.start()
        self._envelope.open_attempt = self._provider_name
        self._envelope.repeatable = self._repeatable

    def report(self, attempt: Attempt) -> AttemptEnded:
        """What observers are told."""
        delivery = self._envelope.delivery
        now = trio.current_time()
        return AttemptEnded(
            delivery_id=delivery.id,
            dispatch_id=delivery.dispatch_id,
            channel=delivery.channel,
            provider=self._provider_name,
            result=_kind(attempt),
            seconds=now - (now if self._started_at is None else self._started_at),
            error="" if isinstance(attempt, Accepted) else attempt.error,
        )


def _kind(
    attempt: Attempt,
) -> Literal["accepted", "refused", "unavailable", "throttled", "unanswered"]:
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
