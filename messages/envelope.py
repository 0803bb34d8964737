"""A delivery on its way through a mailbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from messages.model import Delivery, Outcome, Reason, Receipt


@dataclass(slots=True)
class Envelope:
    """A delivery on its way through a mailbox, with the address its receipt goes to.

    `open_attempt` names the provider while bytes may have left and no answer was read; a worker
    that crashes then leaves a delivery in doubt unless the provider's repeats are `repeatable`.
    `attempts_here` counts those with the provider `at`, `given_up` names the ones before it.
    Once an attempt stayed unanswered (`in_doubt`) only an acceptance ends it otherwise.
    """

    delivery: Delivery
    reply: Callable[[Receipt], None] = field(repr=False)
    crashes: int = 0
    attempts: int = 0
    at: str | None = None
    attempts_here: int = 0
    given_up: tuple[str, ...] = ()
    open_attempt: str | None = None
    repeatable: bool = False
    in_doubt: bool = False
    answered: bool = False

    def end(
        self,
        outcome: Outcome,
        reason: Reason,
        error: str = "",
        provider: str | None = None,
        message_id: str | None = None,
    ) -> None:
        """Answer with this outcome. The first answer counts: a redelivery may give a second."""
        if self.answered:
            return
        self.answered = True
        if self.in_doubt and outcome == "failed":
            outcome, reason = "in-doubt", "unknown-outcome"
            error = f"Outcome unknown: an earlier attempt was never answered; then {error}"
        delivery = self.delivery
        self.reply(
            Receipt(
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
            )
        )
