"""What becomes of a message whose worker crashed, was stuck or was stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from messages.journal import AttemptEnd

if TYPE_CHECKING:
    from actors.mailbox import Mailbox
    from messages.envelope import Envelope
    from messages.journal import AttemptLog


def rescue(mailbox: Mailbox, envelope: Envelope, log: AttemptLog, max_crashes: int) -> None:
    """Answer or give back what a worker held that will not go on with it."""
    envelope.crashes += 1
    if envelope.open_attempt is not None:
        envelope.in_doubt = True
    if envelope.in_doubt and not envelope.repeatable:
        _leave_in_doubt(envelope, "an internal error came before the provider's answer")
    elif envelope.crashes >= max_crashes:
        envelope.end("failed", "crashed", "Internal error while sending")
    elif envelope.cancelled:
        envelope.cancel()
    if envelope.answered:
        mailbox.acknowledge()
        return
    if envelope.open_attempt is None:
        log.end(_unstarted(envelope))
    mailbox.give_back()


def interrupt(envelope: Envelope, log: AttemptLog) -> None:
    """Leave a message to the next start.

    Its open call is in doubt, unless a repeat would be recognised: that can wait, too.
    """
    if envelope.open_attempt is None:
        log.end(_unstarted(envelope))
    elif not envelope.repeatable:
        _leave_in_doubt(envelope, "stopped before the provider answered")


def _unstarted(envelope: Envelope) -> AttemptEnd:
    """What is told of a call that is not made, or was cut off before a byte of it left."""
    delivery, number = envelope.delivery, envelope.starts
    return AttemptEnd(delivery.dispatch_id, delivery.channel, delivery.key, number, "unstarted")


def _leave_in_doubt(envelope: Envelope, why: str) -> None:
    envelope.end("in-doubt", "unknown-outcome", f"Outcome unknown: {why}", envelope.open_attempt)
