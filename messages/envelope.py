"""A delivery on its way through a channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Final

from carillon.messages.model import Cause, Delivery, Outcome, Priority, Reason, Receipt
from carillon.messages.ports.records import PastAttempt

EXPIRED: Final = "Expired before it could be sent"
CANCELLED: Final = "Cancelled before it was sent"


@dataclass(slots=True)
class Envelope:
    """A delivery on its way through a channel, with the address its receipt goes to.

    `expires_at` is on trio's clock: no call starts after it. `posted_at` is when the envelope
    entered its channel. `open_attempt` names the provider while bytes may have left and no answer
    was read; a worker that crashes then leaves the delivery in doubt, unless the provider
    recognises repeats (`repeatable`). `starts` numbers the attempts on record, of which `attempts`
    were made; `at` is the provider that tried last, `tries` counts the attempts of each provider,
    `given_up` names the providers whose attempts are used up. Once an attempt stays unanswered
    (`in_doubt`) the delivery stays `at` its provider, and only an acceptance ends it as anything
    but in doubt. A `cancelled` delivery makes no further attempt. `caller` is the API caller of its
    dispatch. `cause` is that of the last attempt, if it failed.
    """

    delivery: Delivery
    reply: Callable[[Receipt], None] = field(repr=False)
    priority: Priority = "normal"
    expires_at: float = inf
    posted_at: float = 0.0
    crashes: int = 0
    starts: int = 0
    attempts: int = 0
    tries: dict[str, int] = field(default_factory=dict)
    at: str | None = None
    given_up: tuple[str, ...] = ()
    open_attempt: str | None = None
    repeatable: bool = False
    in_doubt: bool = False
    answered: bool = False
    cancelled: bool = False
    receipt: Receipt | None = field(default=None, repr=False)
    caller: str = ""
    cause: Cause | None = None

    def end(
        self,
        outcome: Outcome,
        reason: Reason,
        error: str = "",
        provider: str | None = None,
        message_id: str | None = None,
    ) -> None:
        """Answer with this outcome. Only the first answer counts: a redelivery may give another."""
        if self.answered:
            return
        self.answered = True
        if self.in_doubt and outcome not in {"sent", "in-doubt"}:
            outcome, reason = "in-doubt", "unknown-outcome"
            error = f"Outcome unknown: an earlier attempt was never answered; then {error}"
        delivery = self.delivery
        self.receipt = Receipt(
            delivery_id=delivery.id,
            dispatch_id=delivery.dispatch_id,
            channel=delivery.channel,
            key=delivery.key,
            user_id=delivery.user_id,
            outcome=outcome,
            reason=reason,
            error=error,
            provider=provider,
            attempts=self.attempts,
            provider_message_id=message_id,
            cause=self.cause,
        )
        self.reply(self.receipt)

    def doubt(self, provider: str, error: str) -> None:
        """Note that the answer to an attempt at a provider may belong to another delivery.

        An outcome becomes in doubt. A delivery without one goes on only if the provider recognises
        repeats, as after an attempt that was never answered.
        """
        told = self.receipt
        if told is not None and told.outcome in {"sent", "failed"} and told.provider == provider:
            self.receipt = replace(
                told,
                outcome="in-doubt",
                reason="unknown-outcome",
                error=error,
                provider_message_id=None,
                late=True,
                replaces=told.outcome,
            )
            self.reply(self.receipt)
        elif not self.answered:
            self.in_doubt = True
            self.at = provider
            if self.open_attempt is None and not self.repeatable:
                self.end("in-doubt", "unknown-outcome", error, provider)

    def remember(self, attempts: Sequence[PastAttempt], starts: int) -> None:
        """Take over what an earlier process tried; an attempt without a result may have arrived.

        `starts` is the number of the last attempt on record, whether it counts or not.
        """
        self.starts = starts
        if not attempts:
            return
        last = attempts[-1]
        self.tries = dict(Counter(one.provider for one in attempts if one.result != "unstarted"))
        self.attempts = sum(self.tries.values())
        self.at = last.provider
        self.in_doubt = any(one.result == "unanswered" for one in attempts)
        self.open_attempt = last.provider if last.result is None else None

    def cancel(self) -> None:
        """Answer that the dispatch was cancelled before the delivery could be sent."""
        self.end("cancelled", "cancelled", CANCELLED, self.at)

    def expire(self) -> None:
        """Answer that the delivery has expired."""
        self.end("expired", "expired", EXPIRED, self.at)
