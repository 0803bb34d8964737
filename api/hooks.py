"""`/hooks/kafka2firebase/…`: Kafka2Firebase tells what became of a notification.

It posts the message that it was given, whose `message_id` is the delivery's id. That cannot be
guessed; with API keys, `HEADERS_TO_PROXY` of Kafka2Firebase carries one.
"""

from __future__ import annotations

from quart import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from carillon.api.access import needs
from carillon.api.body import json_body
from carillon.dispatches.confirmations import Confirmations, HookResult
from carillon.messages.errors import BadCommand

LONGEST_ID = 200


def hook_routes(confirmations: Confirmations | None) -> Blueprint:
    """The routes, for an app to mount; without Kafka2Firebase they answer 404."""
    routes = Blueprint("hooks", __name__, url_prefix="/hooks/kafka2firebase")

    async def confirm(verdict: HookResult) -> Response:
        if confirmations is None:
            raise NotFound
        if not await confirmations.confirm(_message_id(await json_body(request)), verdict):
            raise NotFound
        return Response(b"", 204)

    @routes.post("/ok", provide_automatic_options=False)
    @needs("send", open_without_keys=True)
    async def ok() -> Response:
        return await confirm("ok")

    @routes.post("/ko", provide_automatic_options=False)
    @needs("send", open_without_keys=True)
    async def ko() -> Response:
        return await confirm("ko")

    return routes


def _message_id(body: object) -> str:
    found = body.get("message_id") if isinstance(body, dict) else None
    if not isinstance(found, str) or not 0 < len(found) <= LONGEST_ID:
        raise BadCommand("message_id must be the string that the notification was given")
    return found
