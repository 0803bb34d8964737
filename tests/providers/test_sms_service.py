"""The SMS service's adapter, against a stand-in on a socket (contracts 1.3)."""

from __future__ import annotations

from carillon.http_client.httpx_client import HttpxWire
from carillon.messages.model import Accepted, Refused, Unavailable
from carillon.providers.sms_service import SmsService
from tests.neighbours.http import Answer, serve
from tests.neighbours.sms_service import SmsService as StandIn
from tests.providers.deliveries import Starts, sms


async def test_an_sms_is_one_json_call(wire: HttpxWire) -> None:
    async with serve(StandIn()) as server:
        attempt = await SmsService(f"{server.url}/sms/", wire).send(sms(), Starts())
    assert attempt == Accepted("SM" + "1".rjust(32, "0"))
    assert server.requests[0].path == "/sms/send"
    assert server.requests[0].json() == {
        "sender": "Shop",
        "receiver": "+393331234567",
        "body": "Your order left.",
    }


async def test_429_with_retry_after_throttles(wire: HttpxWire) -> None:
    async with serve(StandIn(Answer(429, headers={"retry-after": "60"}))) as server:
        attempt = await SmsService(server.url, wire).send(sms(), Starts())
    assert attempt == Unavailable("sms-service answered 429", 60.0, throttled=True)


async def test_a_text_over_the_limit_is_refused(wire: HttpxWire) -> None:
    async with serve(StandIn()) as server:
        attempt = await SmsService(server.url, wire).send(sms("x" * 1601), Starts())
    assert isinstance(attempt, Refused)
    assert "1600 characters" in attempt.error


def test_deliveries_to_one_number_take_turns() -> None:
    adapter = SmsService("http://sms-service", HttpxWire())
    turn = adapter.serialize_by(sms(address="+391"))
    assert turn is not None
    assert turn == adapter.serialize_by(sms(address="+391"))
    assert turn != adapter.serialize_by(sms(address="+392"))
