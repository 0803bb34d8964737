"""Kaleyra's adapter, against a stand-in on a socket (contracts 2.2)."""

from __future__ import annotations

import json

import pytest

from carillon.http_client.httpx_client import HttpxWire
from carillon.messages.model import Accepted, Refused, Unavailable
from carillon.providers.kaleyra import Kaleyra
from tests.neighbours.http import Answer, serve
from tests.neighbours.kaleyra import Kaleyra as StandIn
from tests.providers.deliveries import ScriptedWire, Starts, voice


async def test_a_call_is_one_form_with_the_key_in_a_header(wire: HttpxWire) -> None:
    stand_in = StandIn()
    starts = Starts()
    async with serve(stand_in) as server:
        attempt = await Kaleyra(f"{server.url}/", "SID1", "key-1", wire).send(voice(), starts)
    assert attempt == Accepted("58f86fab-85c5-4f7c-9b68-9c323248afc4:1")
    assert server.requests[0].path == "/v1/SID1/voice/outbound"
    assert stand_in.calls == [
        {"to": "+393331234567", "bridge": "+390212345678", "target": "Your order left."}
    ]
    assert len(starts.times) == 1


async def test_the_target_is_a_template_of_the_operators(wire: HttpxWire) -> None:
    stand_in = StandIn()
    text = 'She said "hi" & left {text} {jsonText}\n'
    target = '[{"message": {"type": "text", "info": "{jsonText}"}}]'
    async with serve(stand_in) as server:
        for template in (target, "say:{text};{x}"):
            adapter = Kaleyra(server.url, "SID1", "key-1", wire, target=template)
            await adapter.send(voice(text), Starts())
    assert json.loads(stand_in.calls[0]["target"])[0]["message"]["info"] == text
    assert stand_in.calls[1]["target"] == f"say:{text};{{x}}"


async def test_more_fields_go_along_and_replace_none_of_ours(wire: HttpxWire) -> None:
    stand_in = StandIn()
    fields = {"retry": "2", "language": "it-IT", "to": "+1999"}
    async with serve(stand_in) as server:
        adapter = Kaleyra(server.url, "SID1", "key-1", wire, fields=fields)
        await adapter.send(voice(), Starts())
    (call,) = stand_in.calls
    assert (call["retry"], call["language"], call["to"]) == ("2", "it-IT", "+393331234567")


async def test_a_wrong_key_is_refused_and_not_shown(wire: HttpxWire) -> None:
    async with serve(StandIn()) as server:
        attempt = await Kaleyra(server.url, "SID1", "s3cret", wire).send(voice(), Starts())
    assert attempt == Refused("kaleyra answered 401: api-key: not authorized")


async def test_field_errors_are_told_without_the_number(wire: HttpxWire) -> None:
    body = b'{"error": {"to": "invalid number +393331234567"}}'
    async with serve(StandIn(Answer(400, body))) as server:
        attempt = await Kaleyra(server.url, "SID1", "key-1", wire).send(voice(), Starts())
    assert attempt == Refused("kaleyra answered 400: to: invalid number [address]")


async def test_429_throttles(wire: HttpxWire) -> None:
    async with serve(StandIn(Answer(429))) as server:
        attempt = await Kaleyra(server.url, "SID1", "key-1", wire).send(voice(), Starts())
    assert attempt == Unavailable("kaleyra answered 429", None, throttled=True)


async def test_a_sid_cannot_leave_its_place_in_the_path(wire: HttpxWire) -> None:
    async with serve(StandIn(sid="..%2Fx")) as server:
        attempt = await Kaleyra(server.url, "../x", "key-1", wire).send(voice(), Starts())
    assert isinstance(attempt, Accepted)


def test_a_key_that_fits_no_header_is_named_at_once() -> None:
    with pytest.raises(ValueError, match="API key"):
        Kaleyra("http://127.0.0.1:1", "SID1", "key\r\nx: 1", ScriptedWire([]))
