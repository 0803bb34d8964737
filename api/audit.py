"""`GET /audit`: the changes made while the service ran and their authors, newest first, by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trio
from quart import Blueprint, Response, request

from carillon.api.access import caller, needs
from carillon.api.answers import json_answer, moment
from carillon.api.query import asked_limit
from carillon.messages.clock import milliseconds
from carillon.messages.errors import CarillonError, TryLater
from carillon.messages.model import Document
from carillon.stores.ports import AuditEntry, LiveSettings


def audit_routes(live_settings: LiveSettings) -> Blueprint:
    """The route, for an app to mount."""
    routes = Blueprint("audit", __name__)

    @routes.get("/audit", provide_automatic_options=False)
    @needs("read")
    async def audit() -> Response:
        page = await live_settings.audit(
            request.args.get("provider"), request.args.get("cursor", ""), asked_limit()
        )
        return json_answer({"entries": [_entry(one) for one in page.entries], "next": page.next})

    return routes


def _entry(entry: AuditEntry) -> Document:
    return {
        "at": moment(entry.at / 1000),
        "who": entry.who,
        "action": entry.action,
        "provider": entry.provider,
        "before": entry.before,
        "after": entry.after,
    }


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
