"""Kaleyra's adapter, against a stand-in on a socket (contracts 2.2)."""

from __future__ import annotations

import json

import pytest

from carillon.http_client.httpx_client import HttpxWire
from carillon.messages.model import Accepted, Attempt, Refused, Unanswered, Unavailable
from carillon.providers.kaleyra import Kaleyra, KaleyraOptions
from tests.neighbours.http import Answer, json_answer, serve
from tests.neighbours.kaleyra import Kaleyra as StandIn
from tests.providers.deliveries import ScriptedWire, Starts, email, sms, voice


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
            options = KaleyraOptions(target=template)
            adapter = Kaleyra(server.url, "SID1", "key-1", wire, options)
            await adapter.send(voice(text), Starts())
    assert json.loads(stand_in.calls[0]["target"])[0]["message"]["info"] == text
    assert stand_in.calls[1]["target"] == f"say:{text};{{x}}"


async def test_more_fields_go_along_and_replace_none_of_ours(wire: HttpxWire) -> None:
    stand_in = StandIn()
    fields = {"retry": "2", "language": "it-IT", "to": "+1999"}
    async with serve(stand_in) as server:
        adapter = Kaleyra(server.url, "SID1", "key-1", wire, KaleyraOptions(fields=fields))
        await adapter.send(voice(), Starts())
    (call,) = stand_in.calls
    assert (call["retry"], call["language"], call["to"]) == ("2", "it-IT", "+393331234567")


async def test_an_sms_is_one_form_too(wire: HttpxWire) -> None:
    stand_in = StandIn()
    starts = Starts()
    async with serve(stand_in) as server:
        sent = await Kaleyra(server.url, "SID1", "key-1", wire).send(sms("Perché 5 €?"), starts)
    assert sent == Accepted("58f86fab-85c5-4f7c-9b68-9c323248afc4:1", 202)
    assert server.requests[0].path == "/v1/SID1/messages"
    assert stand_in.messages == [
        {"to": "+393331234567", "sender": "Shop", "type": "TXN", "body": "Perché 5 €?"}
    ]
    assert stand_in.calls == []
    assert len(starts.times) == 1


async def test_an_sms_has_its_own_sender_kind_and_fields(wire: HttpxWire) -> None:
    stand_in = StandIn()
    keys = {
        "sender": "KLRHXA",
        "messageType": "OTP",
        "messageFields": {"template_id": "1", "body": "spam"},
    }
    async with serve(stand_in) as server:
        options = KaleyraOptions.model_validate(keys)
        await Kaleyra(server.url, "SID1", "key-1", wire, options).send(sms(), Starts())
    assert stand_in.messages == [
        {
            "to": "+393331234567",
            "sender": "KLRHXA",
            "type": "OTP",
            "body": "Your order left.",
            "template_id": "1",
        }
    ]


ANSWERS: list[tuple[Answer, Attempt]] = [
    (json_answer({"id": "a"}, 202), Accepted("a")),
    (json_answer({"id": "a", "data": [{"message_id": "a:1"}]}, 200), Accepted("a:1")),
    (json_answer({"id": "a", "data": ["x"]}, 200), Accepted("a")),
    (Answer(200, b"queued"), Accepted(None)),
    (json_answer({"error": {"to": "invalid"}}, 400), Refused("kaleyra answered 400: to: invalid")),
    (json_answer({"message": "no"}, 401), Refused("kaleyra answered 401: no")),
    (Answer(403), Refused("kaleyra answered 403")),
    (Answer(404), Refused("kaleyra answered 404")),
    (Answer(408), Unavailable("kaleyra answered 408")),
    (
        Answer(429, headers={"retry-after": "9"}),
        Unavailable("kaleyra answered 429", 9.0, throttled=True),
    ),
    (Answer(500), Unavailable("kaleyra answered 500")),
    (Answer(502), Unavailable("kaleyra answered 502")),
    (Answer(503), Unavailable("kaleyra answered 503")),
    (Answer(504), Unanswered("kaleyra answered 504")),
]


@pytest.mark.parametrize(("answer", "expected"), ANSWERS, ids=lambda one: str(one)[:60])
async def test_what_is_answered_to_an_sms_is_taken_by_the_common_rules(
    answer: Answer, expected: Attempt, wire: HttpxWire
) -> None:
    async with serve(StandIn(answer)) as server:
        assert await Kaleyra(server.url, "SID1", "key-1", wire).send(sms(), Starts()) == expected


async def test_no_mail_goes_over_it(wire: HttpxWire) -> None:
    with pytest.raises(TypeError, match="texts only"):
        await Kaleyra("http://127.0.0.1:1", "SID1", "key-1", wire).send(email(), Starts())


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
