"""`/events`: what sagas were told or are to be told, and a second try for what was parked."""

from __future__ import annotations

from quart import Blueprint, Response, request

from carillon.api.access import needs
from carillon.api.answers import json_answer, moment
from carillon.api.audit import Trail, telling_of_failure
from carillon.api.dispatches import not_known
from carillon.api.query import asked_limit, asked_prefix, one_of
from carillon.messages.errors import Conflict, NotKnown
from carillon.messages.model import Document
from carillon.messages.ports.outbox import EVENT_STATES, EventRecord, Outbox
from carillon.sagas.outbox_relay import Sender
from carillon.stores.ports import LiveSettings


def event_routes(
    outbox: Outbox, sender: Sender | None, live_settings: LiveSettings, kept: float
) -> Blueprint:
    """The routes, for an app to mount; without a sender nothing can be posted again.

    Rows of what was accepted are `kept` for seconds. What cannot be audited is not done.
    """
    routes = Blueprint("events", __name__)

    async def known_event(event_id: str) -> EventRecord:
        record = await outbox.find(event_id)
        if record is None:
            raise NotKnown(not_known("event", kept))
        return record

    @routes.get("/events", provide_automatic_options=False)
    @needs("read")
    async def events() -> Response:
        state = one_of("state", request.args.get("state"), EVENT_STATES)
        page = await outbox.events(
            state, request.args.get("cursor", ""), asked_limit(), asked_prefix()
        )
        return json_answer({"events": [_event(one) for one in page.events], "next": page.next})

    @routes.get("/events/<event_id>", provide_automatic_options=False)
    @needs("read")
    async def show(event_id: str) -> Response:
        return json_answer(_event(await known_event(event_id)))

    @routes.post("/events/<event_id>/redrive", provide_automatic_options=False)
    @needs("operate")
    async def redrive(event_id: str) -> Response:
        if sender is None:
            raise Conflict(
                "flowManagerConfiguration.serviceUrl says where events go; it is not set"
            )
        known = await known_event(event_id)
        state: Document = {"state": known.state}
        what: Document = {"event": known.id}
        trail = Trail(live_settings, "redrive-event", what, state, {"state": "pending"})
        async with telling_of_failure(trail):
            record = await sender.redrive(event_id, trail.begin)
        if record is None:
            raise NotKnown(not_known("event", kept))
        return json_answer(_event(record), 202)

    return routes


def _event(record: EventRecord) -> Document:
    return {
        "id": record.id,
        "key": record.key,
        "messageLabel": record.label,
        "dispatchId": record.dispatch_id,
        "state": record.state,
        "attempts": record.attempts,
        "error": record.error,
        "refusal": record.refusal,
        "createdAt": _time(record.created_at),
        "dueAt": _time(record.due_at),
        "endedAt": _time(record.ended_at),
    }


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else moment(milliseconds / 1000)
