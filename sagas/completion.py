"""The end of a saga's dispatch: its event is durable before the dispatch counts as ended.

With this order, a crash in between repeats the end but not the event: the event has the dispatch's
id, so adding it again changes nothing.
"""

from __future__ import annotations

from uuid import NAMESPACE_OID, uuid5

import trio

from carillon.dispatches.dispatch import Dispatch
from carillon.messages.ports.outbox import SagaEvent
from carillon.messages.retry import retry_until
from carillon.sagas.events import EventRules, event_of, origin_of, refusal_of
from carillon.sagas.outbox_relay import Sender


class Completion:
    """Notifies sagas of how their commands ended, here or after a restart."""

    def __init__(self, rules: EventRules, sender: Sender) -> None:
        self.rules = rules
        self.sender = sender
        self._hurried = trio.Event()

    def stop_waiting(self) -> None:
        """Stop waiting for an outbox that cannot be written: the service is stopping."""
        self._hurried.set()

    def event(self, dispatch: Dispatch) -> SagaEvent | None:
        """The event of a dispatch that has ended here, if a saga waits for one."""
        origin = origin_of(dispatch.request.origin)
        if origin is None or dispatch.suspended:
            return None
        if dispatch.crashed:
            return refusal_of(self.rules, origin.key, RuntimeError(), dispatch.id)
        return event_of(self.rules, origin, dispatch.report())

    async def __call__(self, dispatch: Dispatch) -> bool:
        """Make the event durable; False if it is not, and the end is left to the next start."""
        event = self.event(dispatch)
        return event is None or await self._add(event)

    async def refuse(
        self, key: str, error: Exception, identity: str | None = None
    ) -> trio.Event | None:
        """Notify a saga that its command was refused; returns what is set once that is delivered.

        With an `identity` for the event the saga is notified once, however often the command comes.
        """
        event = refusal_of(self.rules, key, error, identity=identity)
        if event is None:
            return None
        # Watched before it is added: it may be delivered before `_add` returns.
        told = self.sender.watch(event.id)
        await self._add(event)
        return told

    async def refuse_named(
        self, key: str, error: Exception, name: str, since: int
    ) -> trio.Event | None:
        """Notify a saga of a refusal, unless one of the same `name` was notified `since` a time.

        Returns what is set once the event is delivered; None if there is nothing to wait for.
        """
        return await retry_until(lambda: self._refuse_once(key, error, name, since), self._hurried)

    async def _refuse_once(
        self, key: str, error: Exception, name: str, since: int
    ) -> trio.Event | None:
        identity = uuid5(NAMESPACE_OID, name)
        earlier = await self.sender.find(str(identity))
        # An id cannot be used twice, so each expiry of a name leads to the next id of a chain.
        while earlier is not None and earlier.created_at < since:
            identity = uuid5(identity, name)
            earlier = await self.sender.find(str(identity))
        event = refusal_of(self.rules, key, error, identity=str(identity))
        if event is None:
            return None
        told = self.sender.watch(event.id)
        if earlier is None:
            await self.sender.add(event)
        # It may have ended before it was watched.
        found = await self.sender.find(event.id)
        return None if found is None or found.state != "pending" else told

    async def has_told(self, identity: str) -> bool:
        """Whether an event with this id is durable. Raises JournalUnavailable."""
        return await self.sender.find(identity) is not None

    async def _add(self, event: SagaEvent) -> bool:
        return await retry_until(lambda: self._added(event), self._hurried) is not None

    async def _added(self, event: SagaEvent) -> bool:
        await self.sender.add(event)
        return True
