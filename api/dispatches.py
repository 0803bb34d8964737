"""`GET /dispatches`, one of them and its deliveries: what the journal knows, a page at a time."""

from __future__ import annotations

from quart import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from api.access import needs
from api.answers import json_answer, moment
from api.choices import one_of, some_of
from api.paging import asked_limit
from messages.model import CHANNELS, OUTCOMES, REASONS
from messages.records import (
    DISPATCH_STATES,
    DeliveryRecord,
    DispatchRecord,
    RecordFilter,
    Records,
)


def dispatch_routes(records: Records) -> Blueprint:
    """The routes, for an app to mount."""
    routes = Blueprint("dispatches", __name__)

    @routes.get("/dispatches", provide_automatic_options=False)
    @needs("read")
    async def dispatches() -> Response:
        state = one_of("state", request.args.get("state"), DISPATCH_STATES)
        page = await records.dispatches(state, request.args.get("cursor", ""), asked_limit())
        found = [shown(one) for one in page.dispatches]
        return json_answer({"dispatches": found, "next": page.next})

    @routes.get("/dispatches/<dispatch_id>", provide_automatic_options=False)
    @needs("read", open_without_keys=True)
    async def show(dispatch_id: str) -> Response:
        record = await records.dispatch(dispatch_id)
        if record is None:
            raise NotFound
        return json_answer(shown(record))

    @routes.get("/dispatches/<dispatch_id>/deliveries", provide_automatic_options=False)
    @needs("read", open_without_keys=True)
    async def deliveries(dispatch_id: str) -> Response:
        if await records.dispatch(dispatch_id) is None:
            raise NotFound
        page = await records.deliveries(
            dispatch_id, _wanted(), request.args.get("cursor", ""), asked_limit()
        )
        return json_answer(
            {"deliveries": [_delivery(one) for one in page.deliveries], "next": page.next}
        )

    return routes


def shown(record: DispatchRecord) -> dict[str, object]:
    """A dispatch as answers show it."""
    return {
        "id": record.id,
        "state": record.state,
        "reason": record.reason,
        "channels": record.channels,
        "audience": {
            "read": record.audience.read,
            "total": record.audience.total,
            "complete": record.audience.complete,
        },
        "counts": dict.fromkeys(OUTCOMES, 0) | dict(record.counts),
        "createdAt": _time(record.created_at),
        "endedAt": _time(record.ended_at),
    }


def _wanted() -> RecordFilter:
    asked = request.args
    return RecordFilter(
        outcomes=some_of("outcome", asked.getlist("outcome"), OUTCOMES),
        channel=one_of("channel", asked.get("channel"), CHANNELS),
        user_id=asked.get("userId"),
        reasons=some_of("reason", asked.getlist("reason"), REASONS),
        provider=asked.get("provider"),
    )


def _delivery(record: DeliveryRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "userId": record.user_id,
        "channel": record.channel,
        "outcome": record.outcome,
        "reason": record.reason,
        "error": record.error,
        "provider": record.provider,
        "providerMessageId": record.provider_message_id,
        "attempts": record.attempts,
        "createdAt": _time(record.created_at),
        "endedAt": _time(record.ended_at),
    }


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else moment(milliseconds / 1000)
