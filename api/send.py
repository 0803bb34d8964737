"""`POST /send`: a command in, what is known of its failures out.

It has two ways, which are decided by the same code: the framework's, and a shorter one.
"""

from __future__ import annotations

import logging
import time
from codecs import BOM_UTF8
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Final

from quart import Blueprint, Response, request

from carillon.api.access import Gate, Need, caller, needs
from carillon.api.answers import Answer
from carillon.api.body import bodies, done_with_body, send_body
from carillon.api.errors import UNEXPECTED, Forbidden, Unauthorized, error, expected, respond
from carillon.api.idempotency import Repeats, idempotency_key
from carillon.api.preferences import Preferences, preferences
from carillon.api.snapshot import DispatchReader, Waiting, answer, cut_short, told_now, wait_for
from carillon.dispatches.dispatch import Dispatch
from carillon.dispatches.service import DispatchService
from carillon.messages.commands import parse_send
from carillon.messages.errors import BadCommand, CarillonError
from carillon.messages.json_bounds import Bounds
from carillon.messages.json_input import read_json
from carillon.messages.ports.journal import IdempotencyKey
from carillon.messages.ports.records import Records
from carillon.telemetry.access_log import AccessLog, Ended, Seen, request_id

ROUTE: Final = "/send"
REPLAYED: Final = "Idempotency-Replayed"


class Sending:
    """What `POST /send` does, whichever way a request came."""

    def __init__(
        self,
        dispatcher: DispatchService,
        records: Records,
        repeats: Repeats,
        waiting: Waiting,
    ) -> None:
        self._dispatcher = dispatcher
        self._repeats = repeats
        self._waiting = waiting
        self._archive = DispatchReader(dispatcher, records)

    async def accept(self, body: object, key: IdempotencyKey | None, who: str) -> Dispatch | str:
        """The dispatch that this request began, or the id of the one that an earlier one did.

        Raises:
            CarillonError: it began none.
        """
        dispatcher, repeats = self._dispatcher, self._repeats
        if key is None:
            return await dispatcher.accept(parse_send(body), caller=who)
        if repeats.is_claimed(key) and (earlier := await repeats.earlier(key)) is not None:
            return earlier  # the claim may be that of another repeat
        with repeats.claimed(key):
            if (earlier := await repeats.earlier(key)) is not None:
                return earlier
            return await dispatcher.accept(parse_send(body), repeats.dated(key), caller=who)

    async def told(self, accepted: Dispatch | str, preferred: Preferences) -> Answer:
        """What the caller is answered, once it is time."""
        waiting = self._waiting
        patience = min(waiting.respond_within, preferred.patience)
        if isinstance(accepted, str):
            told = await self._archive.told(accepted, patience)
            return answer(told, preferred, waiting, {REPLAYED: "true"})
        if patience or not preferred.respond_async:
            await wait_for(accepted, patience)
        if accepted.crashed:
            return cut_short(accepted)
        return answer(told_now(accepted), preferred, waiting)


def send_routes(sending: Sending) -> Blueprint:
    """The route, for an app to mount."""
    routes = Blueprint("send", __name__)

    @routes.post(ROUTE, provide_automatic_options=False)
    @needs("send", open_without_keys=True)
    async def send() -> Response:
        body = await send_body(request)
        preferred = preferences(request.headers.getlist("Prefer"))
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
        accepted = await sending.accept(body.value, key, caller())
        done_with_body()
        return respond(await sending.told(accepted, preferred))

    return routes


class FastSend:
    """The same at `path` for plain requests, without the framework; `most` bytes are in a body.

    One that is refused before it can have begun anything goes the long way, which says why.
    """

    method = "POST"

    def __init__(
        self,
        path: str,
        sending: Sending,
        gate: Gate,
        need: Need | None,
        bounds: Bounds,
        most: int,
        log: AccessLog,
        logger: logging.Logger,
    ) -> None:
        self.path = path
        self.most_bytes = most
        self._sending = sending
        self._gate = gate
        self._need = need
        self._bounds = bounds
        self._log = log
        self._logger = logger

    async def answer(self, headers: Mapping[str, str], body: bytes, client: str) -> Answer | None:
        """The answer to a request; None if it is not for here, and then nothing has happened.

        Names of `headers` are in lower case.
        """
        started = time.perf_counter()
        if self._need is None:
            return None
        try:
            caller = self._gate.admit_anywhere(_values(headers, "authorization"), self._need)
            value = read_json(body.removeprefix(BOM_UTF8), self._bounds)
        except (Unauthorized, Forbidden, BadCommand):
            return None
        if caller is None:
            return None
        seen = self._seen(headers, client)
        self._log.started(seen)
        answer = await self._answer(headers, value, caller)
        ended = Ended(
            seen,
            self.path,
            answer.status,
            len(answer.body),
            time.perf_counter() - started,
            answer.headers.get("Dispatch-Id"),
            caller,
            answer.why,
        )
        self._log.ended(ended)
        return answer

    async def _answer(self, headers: Mapping[str, str], value: object, caller: str) -> Answer:
        try:
            shown = _values(headers, "idempotency-key")
            key = idempotency_key(shown, caller, self.method, ROUTE, value)
            accepted = await self._sending.accept(value, key, caller)
            return await self._sending.told(accepted, preferences(_values(headers, "prefer")))
        except CarillonError as raised:
            return expected(raised)
        except Exception:
            self._logger.exception("unexpected error")
            return error(HTTPStatus.INTERNAL_SERVER_ERROR, UNEXPECTED)

    def _seen(self, headers: Mapping[str, str], client: str) -> Seen:
        return Seen(
            request_id(headers.get("x-request-id")),
            self.method,
            self.path,
            headers["host"],
            headers.get("user-agent"),
            headers.get("x-forwarded-host"),
            client,
        )


def _values(headers: Mapping[str, str], name: str) -> list[str]:
    """As a framework lists them: a plain request has each header once at most."""
    value = headers.get(name)
    return [] if value is None else [value]
