"""`GET /dispatches/{id}` and its deliveries: what the journal knows, a page at a time."""

from __future__ import annotations

from typing import Final, get_args

from quart import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from api.access import needs
from api.answers import json_answer, moment
from api.paging import asked_limit
from messages.errors import BadCommand
from messages.model import CHANNELS, Channel, Outcome
from messages.ports import DeliveryRecord, RecordFilter, Records

_OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)


def dispatch_routes(records: Records) -> Blueprint:
    """The routes, for an app to mount."""
    routes = Blueprint("dispatches", __name__)

    @routes.get("/dispatches/<dispatch_id>", provide_automatic_options=False)
    @needs("read", open_without_keys=True)
    async def show(dispatch_id: str) -> Response:
        record = await records.dispatch(dispatch_id)
        if record is None:
            raise NotFound
        return json_answer(
            {
                "id": record.id,
                "state": record.state,
                "channels": record.channels,
                "counts": dict.fromkeys(_OUTCOMES, 0) | dict(record.counts),
                "createdAt": _time(record.created_at),
                "endedAt": _time(record.ended_at),
            }
        )

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


def _wanted() -> RecordFilter:
    outcomes: list[Outcome] = []
    for name in request.args.getlist("outcome"):
        for outcome in _OUTCOMES:
            if name == outcome:
                outcomes.append(outcome)
                break
        else:
            raise BadCommand(f"outcome must be one of {', '.join(_OUTCOMES)}")
    return RecordFilter(outcomes, _channel(request.args.get("channel")), request.args.get("userId"))


def _channel(name: str | None) -> Channel | None:
    if name is None:
        return None
    for channel in CHANNELS:
        if name == channel:
            return channel
    raise BadCommand(f"channel must be one of {', '.join(CHANNELS)}")


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
