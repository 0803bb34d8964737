"""The webhook's adapter, against a stand-in on a socket."""

from __future__ import annotations

import json

from carillon.http_client.httpx_client import HttpxWire
from carillon.messages.model import Accepted, Refused
from carillon.providers.webhook import Webhook
from tests.neighbours.http import Answer, serve
from tests.providers.deliveries import Starts, sms


async def test_a_text_is_one_post(wire: HttpxWire) -> None:
    starts = Starts()
    async with serve(Answer(204)) as server:
        sent = await Webhook(f"{server.url}/in?key=k", wire).send(sms("Hello"), starts)
    [request] = server.requests
    assert sent == Accepted(None, 204)
    assert (request.method, request.target) == ("POST", "/in?key=k")
    assert json.loads(request.body) == {"to": "+393331234567", "text": "Hello"}
    assert len(starts.times) == 1


async def test_a_refusal_is_told(wire: HttpxWire) -> None:
    async with serve(Answer(422, b'{"message": "no such number"}')) as server:
        sent = await Webhook(server.url, wire).send(sms(), Starts())
    assert isinstance(sent, Refused)
    assert sent.error == "webhook answered 422: no such number"
