"""`GET /dispatches`, one of them and its deliveries: what the journal knows, a page at a time."""

from __future__ import annotations

from quart import Blueprint, Response, request

from carillon.api.access import needs
from carillon.api.answers import json_answer, moment
from carillon.api.choices import one_of, some_of
from carillon.api.paging import asked_limit, asked_prefix
from carillon.messages.durations import in_words
from carillon.messages.errors import NotKnown
from carillon.messages.model import CHANNELS, OUTCOMES, REASONS
from carillon.messages.ports.records import (
    DISPATCH_STATES,
    DeliveryRecord,
    DispatchRecord,
    RecordFilter,
    Records,
)


def dispatch_routes(records: Records, kept: float) -> Blueprint:
    """The routes, for an app to mount; rows of what ended are `kept` for seconds."""
    routes = Blueprint("dispatches", __name__)

    @routes.get("/dispatches", provide_automatic_options=False)
    @needs("read")
    async def dispatches() -> Response:
        state = one_of("state", request.args.get("state"), DISPATCH_STATES)
        page = await records.dispatches(
            state, request.args.get("cursor", ""), asked_limit(), asked_prefix()
        )
        found = [shown(one) for one in page.dispatches]
        return json_answer({"dispatches": found, "next": page.next})

    @routes.get("/dispatches/<dispatch_id>", provide_automatic_options=False)
    @needs("read", open_without_keys=True)
    async def show(dispatch_id: str) -> Response:
        return json_answer(shown(await known_dispatch(records, dispatch_id, kept)))

    @routes.get("/dispatches/<dispatch_id>/deliveries", provide_automatic_options=False)
    @needs("read", open_without_keys=True)
    async def deliveries(dispatch_id: str) -> Response:
        await known_dispatch(records, dispatch_id, kept)
        page = await records.deliveries(
            dispatch_id, _filter_of_query(), request.args.get("cursor", ""), asked_limit()
        )
        return json_answer(
            {"deliveries": [_delivery(one) for one in page.deliveries], "next": page.next}
        )

    return routes


async def known_dispatch(records: Records, dispatch_id: str, kept: float) -> DispatchRecord:
    """The dispatch with this id. Raises NotKnown, which says for how long rows are kept."""
    record = await records.dispatch(dispatch_id)
    if record is None:
        raise NotKnown(not_known("dispatch", kept))
    return record


def not_known(thing: str, kept: float) -> str:
    """That there is none, and since when there may be none any more."""
    return f"No {thing} with this id is known here (rows are kept {in_words(kept)})"


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


def _filter_of_query() -> RecordFilter:
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
