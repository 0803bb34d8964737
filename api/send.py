"""`POST /send`: a command in, what is known of its failures out."""

from __future__ import annotations

from functools import partial
from typing import Final

from quart import Blueprint, Response, request

from carillon.api.access import caller, needs
from carillon.api.body import bodies, done_with_body, send_body
from carillon.api.idempotency import Repeats, idempotency_key
from carillon.api.preferences import preferences
from carillon.api.snapshot import DispatchReader, Waiting, answer, cut_short, told_now, wait_for
from carillon.dispatches.dispatch import Dispatch
from carillon.dispatches.service import DispatchService
from carillon.messages.commands import parse_send
from carillon.messages.ports.journal import IdempotencyKey
from carillon.messages.ports.records import Records

ROUTE: Final = "/send"
REPLAYED: Final = "Idempotency-Replayed"


def send_routes(
    pipeline: DispatchService, records: Records, repeats: Repeats, waiting: Waiting
) -> Blueprint:
    """The route, for an app to mount."""
    routes = Blueprint("send", __name__)
    archive = DispatchReader(pipeline, records)

    @routes.post(ROUTE, provide_automatic_options=False)
    @needs("send", open_without_keys=True)
    async def send() -> Response:
        body = await send_body(request)
        preferred = preferences(request.headers.getlist("Prefer"))
        patience = min(waiting.respond_within, preferred.patience)
        shown = request.headers.getlist("Idempotency-Key")
        named = partial(
            idempotency_key,
            shown,
            caller(),
            request.method,
            ROUTE,
            body.value,
            is_long=body.is_long,
        )
        key = await bodies().offload.run_if(body.is_long and bool(shown), named)
        accepted = await _accept(pipeline, repeats, body.value, key, caller())
        done_with_body()
        if isinstance(accepted, str):
            told = await archive.told(accepted, patience)
            return answer(told, preferred, waiting, {REPLAYED: "true"})
        if patience or not preferred.respond_async:
            await wait_for(accepted, patience)
        return (
            cut_short(accepted)
            if accepted.crashed
            else answer(told_now(accepted), preferred, waiting)
        )

    return routes


async def _accept(
    pipeline: DispatchService,
    repeats: Repeats,
    body: object,
    key: IdempotencyKey | None,
    who: str,
) -> Dispatch | str:
    """The dispatch that this request began, or the id of the one that an earlier one did."""
    if key is None:
        return await pipeline.accept(parse_send(body), caller=who)
    if repeats.is_claimed(key) and (earlier := await repeats.earlier(key)) is not None:
        return earlier  # the claim may be that of another repeat
    with repeats.claimed(key):
        if (earlier := await repeats.earlier(key)) is not None:
            return earlier
        return await pipeline.accept(parse_send(body), repeats.dated(key), caller=who)
