"""What becomes of messages whose worker crashed or was stopped, or whose dispatch is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carillon.messages.ports.journal import AttemptEnd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carillon.actors.inbox import Inbox
    from carillon.actors.mailbox import Mailbox
    from carillon.messages.envelope import Envelope
    from carillon.messages.ports.journal import AttemptLog


def rescue(mailbox: Mailbox, envelope: Envelope, log: AttemptLog, max_crashes: int) -> None:
    """Answer or give back what a worker held that will not go on with it."""
    envelope.crashes += 1
    if envelope.open_attempt is not None:
        envelope.in_doubt = True
    if envelope.in_doubt and not (envelope.repeatable and _may_repeat(mailbox, envelope)):
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


def _may_repeat(mailbox: Mailbox, envelope: Envelope) -> bool:
    """Whether the provider whose call was cut off may be called once more for it."""
    permit = None if mailbox.job is None else mailbox.job.permit
    if permit is None:
        return True
    guard = permit.guard
    return envelope.tries.get(guard.name, 0) < guard.limits.retry.attempts


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


def withdraw(mailboxes: Iterable[Mailbox], inbox: Inbox, dispatch_id: str) -> None:
    """Cancel what waits of a dispatch; what a call is open for makes no further attempt."""
    for mailbox in mailboxes:
        if mailbox.job is not None and mailbox.envelope.delivery.dispatch_id == dispatch_id:
            mailbox.envelope.cancelled = True
    for envelope in inbox.withdraw(dispatch_id):
        envelope.cancel()


def forsake(mailboxes: Iterable[Mailbox], inbox: Inbox, dispatch_id: str) -> None:
    """Forget what waits of a dispatch, and what becomes of its open calls: nobody is answered."""
    for mailbox in mailboxes:
        if mailbox.job is not None and mailbox.envelope.delivery.dispatch_id == dispatch_id:
            mailbox.envelope.answered = True
    for envelope in inbox.withdraw(dispatch_id):
        envelope.answered = True
