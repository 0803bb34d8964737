"""The Flow Manager of Mia-Platform: `POST /event`, which accepts only its own fields.

Contract: Flow Manager 2.6 (contracts 1.6). Every attempt to post one event carries the same
`Idempotency-Key`, so that a receiver can recognise a retry.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import trio

from carillon.http_client.ports import Response, Wire, no_start
from carillon.messages.model import Accepted, Document, Refused, Unavailable
from carillon.messages.ports.outbox import PostResult, SagaEvent
from carillon.providers.encoding import json_body
from carillon.providers.responses import TRANSIENT, document, mia_message, retry_after

SERVICE: Final = "The Flow Manager"
LONGEST_REASON: Final = 300


class FlowManager:
    """Posts events. `url` is the base without `/event`; one call may take `timeout` seconds."""

    def __init__(self, url: str, wire: Wire, timeout: float = 10.0) -> None:
        self._url = url.rstrip("/") + "/event"
        self._wire = wire
        self._timeout = timeout

    async def post(self, event: SagaEvent) -> PostResult:
        """Post an event once."""
        value: Document = {"messageLabel": event.label, "messagePayload": event.payload}
        headers = {"content-type": "application/json", "idempotency-key": f'"{event.id}"'}
        body = json_body({"key": event.key, "value": value})
        with trio.move_on_after(self._timeout):
            reply = await self._wire.exchange("POST", self._url, headers, body, no_start)
            if isinstance(reply, Response):
                return _verdict(reply)
            return Unavailable(f"{SERVICE}: {reply.error}")
        return Unavailable(f"{SERVICE}: no answer within {self._timeout:g} s")

    async def aclose(self) -> None:
        """Close every connection."""
        await self._wire.aclose()


def _verdict(reply: Response) -> PostResult:
    status = reply.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Accepted()
    said = mia_message(document(reply.body))
    why = f": {_printable(said)}" if isinstance(said, str) and said else ""
    error = f"{SERVICE} answered {status}{why}"
    if status in TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable(error, retry_after(reply))
    return Refused(error)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:LONGEST_REASON])
