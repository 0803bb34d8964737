"""`GET /audit`: who changed what while the service ran, newest first, a page at a time."""

from __future__ import annotations

from quart import Blueprint, Response, request

from carillon.api.access import needs
from carillon.api.answers import json_answer, moment
from carillon.api.paging import asked_limit
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
