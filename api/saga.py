"""`/saga/send`: a Flow Manager's command in; an empty answer out, after its saga was told."""

from __future__ import annotations

from functools import partial
from typing import Final

from quart import Blueprint, Response, request

from carillon.api.access import caller, needs
from carillon.api.body import bodies, command_body, done_with_body
from carillon.api.errors import error_answer, respond
from carillon.api.idempotency import Repeats, idempotency_key
from carillon.api.send import REPLAYED
from carillon.api.snapshot import cut_short
from carillon.messages.errors import CarillonError
from carillon.sagas.service import Sagas, Work

ROUTE: Final = "/saga/send"


def saga_routes(sagas: Sagas | None, repeats: Repeats) -> Blueprint:
    """The route, for an app to mount; without sagas it answers 404."""
    routes = Blueprint("saga", __name__)

    @routes.route(ROUTE, methods=["POST", "PUT", "PATCH"], provide_automatic_options=False)
    @needs("send", open_without_keys=True)
    async def command() -> Response:
        if sagas is None:
            return error_answer(
                404, f"Route {request.method}:{request.path} needs flowManagerConfiguration"
            )
        body = await command_body(request)
        shown = request.headers.getlist("Idempotency-Key")
        sign = partial(
            idempotency_key,
            shown,
            caller(),
            request.method,
            ROUTE,
            body.value,
            is_long=body.is_long,
        )
        named = await bodies().offload.run_if(body.is_long and bool(shown), sign)
        dated = None if named is None else repeats.dated(named)
        work = sagas.carry_out(
            body.value, dated, caller(), text=body.text, on_decided=done_with_body
        )
        return _answer(await work)

    return routes


def _answer(work: Work) -> Response:
    if isinstance(work.error, CarillonError):
        raise work.error
    if work.error is not None:
        return error_answer(500, "Something went wrong on our side; the log has the details")
    if work.dispatch is not None and work.dispatch.crashed:
        return respond(cut_short(work.dispatch))
    response = Response(b"", 200, _headers(work))
    del response.headers["Content-Type"]
    return response


def _headers(work: Work) -> dict[str, str]:
    headers = {} if work.dispatch_id is None else {"Dispatch-Id": work.dispatch_id}
    if work.is_repeat:
        headers[REPLAYED] = "true"
    dispatch = work.dispatch
    if dispatch is not None and (dispatch.suspended or not dispatch.ended.is_set()):
        headers["Deliveries-Pending"] = str(dispatch.report().pending)
    return headers
