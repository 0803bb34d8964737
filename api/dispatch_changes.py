"""`DELETE /dispatches/{id}` cancels what has not started, `…/redrive` sends again what failed."""

from __future__ import annotations

from typing import cast

from quart import Blueprint, Response, request

from carillon.api.access import needs
from carillon.api.answers import json_answer
from carillon.api.body import json_body
from carillon.api.choices import one_of, some_of
from carillon.api.dispatches import known_dispatch, shown
from carillon.api.trail import Trail, telling_of_failure
from carillon.dispatches.service import Pipeline
from carillon.messages.errors import BadCommand, Conflict
from carillon.messages.model import CHANNELS, REASONS, UNSENT, Document
from carillon.messages.ports.records import DispatchRecord, RecordFilter, Records
from carillon.stores.ports import LiveSettings

_ENDED = "The dispatch has ended"
_OVER = ("done", "crashed")
_FILTERS = ("outcome", "reason", "channel", "provider")


def dispatch_change_routes(
    pipeline: Pipeline, records: Records, live_settings: LiveSettings, prefix: str, kept: float
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
                await pipeline.cancel(dispatch_id, trail.begin)
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
                number = await pipeline.redrive(dispatch_id, wanted, trail.begin, record.caller)
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
