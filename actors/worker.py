"""The actor: take a message with its permit, make the call, answer, acknowledge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from carillon.actors.provider.call import Finish, NextProvider, RetryAfter
from carillon.messages.errors import JournalUnavailable, Superseded
from carillon.messages.ports.journal import AttemptStart

if TYPE_CHECKING:
    from carillon.actors.mailbox import Mailbox
    from carillon.actors.provider.call import Call, DeadlineWatch, Decision
    from carillon.actors.provider.guard import Guard, Permit
    from carillon.actors.router import Route
    from carillon.messages.envelope import Envelope
    from carillon.messages.model import Attempt
    from carillon.messages.ports.journal import AttemptLog


from typing import TYPE_CHECKING

from carillon.messages.ports.journal import AttemptEnd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carillon.actors.inbox import Inbox
    from carillon.actors.mailbox import Mailbox
    from carillon.messages.envelope import Envelope
    from carillon.messages.ports.journal import AttemptLog


JOURNAL_PAUSE: Final = 1.0
"""Seconds until a delivery is tried again whose start could not be put on record."""


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What the workers of a channel share; `refuse` answers what a quarantined one hands out."""

    route: Route
    log: AttemptLog
    timekeeper: DeadlineWatch
    refuse: Callable[[Envelope], None]


async def work(mailbox: Mailbox, desk: WorkerContext) -> None:
    """Deliver until the channel is closed and empty, or the worker is dismissed.

    Only a bug raises.
    """
    at_the_end = False
    while not (at_the_end or mailbox.dismissed):
        with trio.CancelScope() as scope:
            at_the_end = await _until_overdue(mailbox, desk, scope)
        if scope.cancelled_caught and mailbox.open_call is not None:
            guard, call = mailbox.open_call
            mailbox.open_call = None
            attempt = call.overdue()
            await _settle(mailbox, desk, guard, guard.judge(call, attempt), call, attempt)
            del guard, call, attempt  # an idle worker keeps no message alive
        elif mailbox.job is not None:
            mailbox.give_back()  # an answer came with the cancellation, which then cut its rest
    mailbox.leave()


async def _until_overdue(mailbox: Mailbox, desk: WorkerContext, scope: trio.CancelScope) -> bool:
    """Make calls until one is overdue; whether the channel has come to its end."""
    in_time = True
    while in_time and not mailbox.dismissed:
        try:
            job = await mailbox.take()
        except trio.EndOfChannel:
            return True
        permit = job.permit
        if permit is None:
            await trio.lowlevel.checkpoint()
            desk.refuse(job.envelope)
            mailbox.acknowledge()
            del job
            continue
        guard = permit.guard
        if not await _is_on_record(mailbox, desk, permit):
            await _wait_or_drop(mailbox)
            del job, permit
            continue
        attempt, call, in_time = await _call(mailbox, guard, permit, desk.timekeeper, scope)
        if mailbox.job is job:  # else it took too long, and somebody else goes on with it
            await _settle(mailbox, desk, guard, guard.judge(call, attempt), call, attempt)
        if guard.shared:
            await trio.lowlevel.checkpoint()  # or the other channels would never come by
        del job, permit, call, attempt
    return False


async def _is_on_record(mailbox: Mailbox, desk: WorkerContext, permit: Permit) -> bool:
    """Make the start of a call durable; False gives its permit back, for nothing may leave."""
    envelope, guard = mailbox.envelope, permit.guard
    if envelope.answered:  # in doubt, since it was put here to be tried again
        guard.unused()
        mailbox.give_permit_back(permit)
        return False
    delivery = envelope.delivery
    envelope.starts += 1
    start = AttemptStart(
        delivery.dispatch_id, delivery.channel, delivery.key, envelope.starts, guard.name
    )
    mailbox.expect(inf)  # the journal has time limits of its own
    try:
        await desk.log.start(start)
    except BaseException as error:
        guard.unused()
        mailbox.give_permit_back(permit)
        if isinstance(error, Superseded):
            _yield_to_another(envelope, error)
        if isinstance(error, JournalUnavailable):
            return False
        raise
    if mailbox.envelope.answered:  # another process goes on with it since a moment ago
        guard.unused()
        mailbox.give_permit_back(permit)
        return False
    return True


def _yield_to_another(envelope: Envelope, error: Superseded) -> None:
    """Make no call that another process may have made, and leave the outcome to it if it lives."""
    if error.in_doubt:
        envelope.end("in-doubt", "unknown-outcome", str(error), envelope.at)
    envelope.answered = True


async def _wait_or_drop(mailbox: Mailbox) -> None:
    if mailbox.envelope.answered:
        mailbox.acknowledge()
    else:
        await mailbox.rest(JOURNAL_PAUSE)


async def _call(
    mailbox: Mailbox,
    guard: Guard,
    permit: Permit,
    timekeeper: DeadlineWatch,
    scope: trio.CancelScope,
) -> tuple[Attempt | None, Call, bool]:
    """Make the call: what came of it, and whether it ended before it was overdue."""
    call = guard.call(mailbox.envelope, permit)
    mailbox.expect(call.latest)
    mailbox.open_call = guard, call
    timekeeper.open(call, scope)
    try:
        attempt = await guard.make(call)
        permit.answered = True
    except Exception:
        mailbox.open_call = None
        raise
    finally:
        in_time = timekeeper.close(call)
        mailbox.give_permit_back(permit)
    mailbox.open_call = None
    return attempt, call, in_time


async def _settle(
    mailbox: Mailbox,
    desk: WorkerContext,
    guard: Guard,
    verdict: Decision,
    call: Call,
    attempt: Attempt | None,
) -> None:
    if mailbox.job is None:
        return
    envelope = mailbox.job.envelope
    if isinstance(verdict, Finish):
        envelope.end(verdict.outcome, verdict.reason, verdict.error, guard.name, verdict.message_id)
    elif envelope.cancelled:
        envelope.cancel()
    elif isinstance(verdict, NextProvider):
        _give_up(envelope, desk.route, guard, verdict.error)
    elif isinstance(verdict, RetryAfter) and (
        trio.current_time() + verdict.seconds >= envelope.expires_at
    ):
        envelope.expire()
    if envelope.answered:
        mailbox.acknowledge()
        return
    desk.log.end(call.ended(attempt))
    if isinstance(verdict, RetryAfter):
        await mailbox.rest(verdict.seconds)
    else:
        mailbox.give_back()


def _give_up(envelope: Envelope, route: Route, guard: Guard, error: str) -> None:
    envelope.given_up = (*envelope.given_up, guard.name)
    if envelope.in_doubt or not route.left(envelope.given_up):
        envelope.end("failed", "exhausted", error, guard.name)
    else:
        envelope.at = None


def requeue_or_fail(
    mailbox: Mailbox, envelope: Envelope, log: AttemptLog, max_crashes: int
) -> None:
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


def cancel(mailboxes: Iterable[Mailbox], inbox: Inbox, dispatch_id: str) -> None:
    """Cancel what waits of a dispatch; what a call is open for makes no further attempt."""
    for mailbox in mailboxes:
        if mailbox.job is not None and mailbox.envelope.delivery.dispatch_id == dispatch_id:
            mailbox.envelope.cancelled = True
    for envelope in inbox.cancel(dispatch_id):
        envelope.cancel()


def disown(mailboxes: Iterable[Mailbox], inbox: Inbox, dispatch_id: str) -> None:
    """Forget what waits of a dispatch, and what becomes of its open calls: nobody is answered."""
    for mailbox in mailboxes:
        if mailbox.job is not None and mailbox.envelope.delivery.dispatch_id == dispatch_id:
            mailbox.envelope.answered = True
    for envelope in inbox.cancel(dispatch_id):
        envelope.answered = True
