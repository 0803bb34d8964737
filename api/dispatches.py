"""`GET /dispatches`, one of them and its deliveries: what the journal knows, a page at a time."""

from __future__ import annotations

from typing import cast

from quart import Blueprint, Response, request

from carillon.api.access import needs
from carillon.api.answers import json_answer, moment
from carillon.api.audit import Trail, telling_of_failure
from carillon.api.body import json_body
from carillon.api.query import asked_limit, asked_prefix, one_of, some_of
from carillon.dispatches.service import DispatchService
from carillon.messages.durations import in_words
from carillon.messages.errors import BadCommand, Conflict, NotKnown
from carillon.messages.model import CHANNELS, OUTCOMES, REASONS, UNSENT, Document
from carillon.messages.ports.records import (
    DISPATCH_STATES,
    DeliveryRecord,
    DispatchRecord,
    RecordFilter,
    Records,
)
from carillon.stores.ports import LiveSettings


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


_ENDED = "The dispatch has ended"
_OVER = ("done", "crashed")
_FILTERS = ("outcome", "reason", "channel", "provider")


def dispatch_change_routes(
    dispatcher: DispatchService,
    records: Records,
    live_settings: LiveSettings,
    prefix: str,
    kept: float,
) -> Blueprint:
    """The routes, for an app to mount; rows of what ended are `kept` for seconds.

    What cannot be audited is not done.
    """
    routes = Blueprint("dispatch_changes", __name__)

    @routes.delete("/dispatches/<dispatch_id>", provide_automatic_options=False)
    @needs("operate")
    async def cancel(dispatch_id: str) -> Response:
        record = await known_dispatch(records, dispatch_id, kept)
        if record.state in _OVER:
            raise Conflict(_ENDED)
        if record.state == "running":
            trail = _trail(live_settings, "cancel", record, {"state": "cancelled"})
            async with telling_of_failure(trail):
                await dispatcher.cancel(dispatch_id, trail.begin)
                record = await known_dispatch(records, dispatch_id, kept)
                if record.state in _OVER:  # it ended while that was written
                    raise Conflict(_ENDED)
        return json_answer(shown(record))

    @routes.post("/dispatches/<dispatch_id>/redrive", provide_automatic_options=False)
    @needs("operate")
    async def redrive(dispatch_id: str) -> Response:
        wanted = _filter_of_body(await json_body(request))
        record = await known_dispatch(records, dispatch_id, kept)
        if record.ended_at is None:
            raise Conflict("The dispatch is still running")
        # What does not have to be sent again needs no texts.
        matching = await records.deliveries(dispatch_id, wanted, "", 1)
        number = 0
        if matching.deliveries:
            trail = _trail(live_settings, "redrive", record, _filters(wanted))
            async with telling_of_failure(trail):
                number = await dispatcher.redrive(dispatch_id, wanted, trail.begin, record.caller)
            if not number:
                await trail.fail("nothing was left that could be sent again")
        told = {"id": dispatch_id, "redriven": number}
        if not number:
            return json_answer(told)
        return json_answer(told, 202, {"Location": f"{prefix}/dispatches/{dispatch_id}"})

    return routes


def _trail(
    live_settings: LiveSettings, action: str, record: DispatchRecord, after: Document
) -> Trail:
    return Trail(live_settings, action, {"dispatch": record.id}, {"state": record.state}, after)


def _filters(wanted: RecordFilter) -> Document:
    """What was asked for, by the names of the request."""
    given: Document = {
        "outcome": [*wanted.outcomes],
        "reason": [*wanted.reasons],
        "channel": wanted.channel,
        "provider": wanted.provider,
    }
    return {name: value for name, value in given.items() if value}


def _filter_of_body(body: object) -> RecordFilter:
    """What is to be driven again: failed ones unless other outcomes are named."""
    if not isinstance(body, dict):
        raise BadCommand("the body must be an object")
    if unknown := [name for name in body if name not in _FILTERS]:
        known = f"filters are {', '.join(_FILTERS)}"
        raise BadCommand(f"{unknown[0]} is no filter; {known}", f"An unknown filter; {known}")
    outcomes = some_of("outcome", _listed(body, "outcome"), UNSENT) or ("failed",)
    provider = body.get("provider")
    if not isinstance(provider, str | None):
        raise BadCommand("provider must be a string")
    if provider == "":  # as with a list: what came out empty must not mean everything
        raise BadCommand("provider must not be empty")
    return RecordFilter(
        outcomes=outcomes,
        reasons=some_of("reason", _listed(body, "reason"), REASONS),
        channel=one_of("channel", body.get("channel"), CHANNELS),
        provider=provider,
    )


def _listed(body: dict[str, object], name: str) -> list[object]:
    value = body.get(name)
    if isinstance(value, list):
        if not value:  # somebody's list came out empty: that must not mean everything
            raise BadCommand(f"{name} must not be empty")
        return cast("list[object]", value)
    return [] if value is None else [value]
