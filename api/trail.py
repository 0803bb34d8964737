"""A change in the audit: not done where it cannot be told, and not told as done where refused.

The entry is durable before the change is made, and written only once nothing speaks against it. A
change that fails after all has a second entry, whose action ends in `-failed` and which says why.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trio

from carillon.api.access import caller
from carillon.messages.clock import milliseconds
from carillon.messages.errors import CarillonError, TryLater
from carillon.messages.model import Document
from carillon.stores.ports import AuditEntry, LiveSettings


@dataclass(slots=True)
class Trail:
    """One change of one thing, which `what` names: `{"dispatch": "…"}`."""

    live_settings: LiveSettings
    action: str
    what: Document
    before: Document
    after: Document
    who: str = field(default_factory=caller)
    is_begun: bool = False

    async def begin(self) -> None:
        """Record that the change is made now. Raises JournalUnavailable; then it must not be."""
        await self._record(self.action, self.after)
        self.is_begun = True

    async def fail(self, why: str) -> None:
        """Record that it was not made, if it was recorded that it is."""
        if self.is_begun:
            # Where that cannot be written either, nothing more can be done about it.
            with trio.CancelScope(shield=True), suppress(TryLater):
                await self._record(f"{self.action}-failed", {"error": why})

    async def _record(self, action: str, after: Document) -> None:
        before = {**self.what, **self.before}
        entry = AuditEntry(milliseconds(), self.who, action, None, before, {**self.what, **after})
        await self.live_settings.record([entry])


@asynccontextmanager
async def telling_of_failure(trail: Trail) -> AsyncIterator[None]:
    """Record it when the change in the body is refused."""
    try:
        yield
    except CarillonError as error:
        await trail.fail(str(error))
        raise
