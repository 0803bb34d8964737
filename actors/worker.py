"""The actor: take a message, deliver it, answer, acknowledge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from actors.guard import Ended, Guard, Later

if TYPE_CHECKING:
    from actors.mailbox import Mailbox
    from messages.envelope import Envelope


class Route:
    """The providers of one channel in the order in which they are tried.

    A delivery goes to the first one that need not wait; when its attempts are used up there, the
    next one gets it, with attempts of its own. An attempt in doubt never moves on.
    """

    def __init__(self, guards: Sequence[Guard]) -> None:
        self.guards = guards

    @property
    def workers(self) -> int:
        """How many deliveries may be under way at once."""
        return sum(guard.limits.concurrency for guard in self.guards)

    async def deliver(self, envelope: Envelope) -> Later | None:
        """Bring a delivery to its end and answer it, or say when it must come back."""
        while True:
            guard = self._guard_for(envelope)
            verdict = await guard.deliver(envelope)
            if isinstance(verdict, Later):
                return verdict
            if isinstance(verdict, Ended):
                envelope.end(
                    verdict.outcome, verdict.reason, verdict.error, guard.name, verdict.message_id
                )
                return None
            envelope.given_up = (*envelope.given_up, guard.name)
            envelope.at, envelope.attempts_here = None, 0
            if envelope.in_doubt or len(envelope.given_up) == len(self.guards):
                envelope.end("failed", "exhausted", verdict.error, guard.name)
                return None

    def _guard_for(self, envelope: Envelope) -> Guard:
        left = [guard for guard in self.guards if guard.name not in envelope.given_up]
        chosen = next((guard for guard in left if guard.name == envelope.at), None)
        if chosen is None:
            chosen = next((guard for guard in left if guard.available), left[0])
            envelope.at = chosen.name
        return chosen


async def work(mailbox: Mailbox, deliver: Callable[[Envelope], Awaitable[Later | None]]) -> None:
    """Deliver until the inbox is closed and empty. Only a bug raises."""
    with suppress(trio.EndOfChannel):
        while True:
            envelope = await mailbox.take()
            later = await deliver(envelope)
            if later is None:
                mailbox.acknowledge()
            elif not mailbox.park(later.seconds):
                await trio.sleep(later.seconds)  # no place to wait elsewhere: wait here
