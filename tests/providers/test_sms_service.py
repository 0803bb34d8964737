"""The SMS service's adapter, against a stand-in on a socket (contracts 1.3)."""

from __future__ import annotations

import trio

from messages.model import Accepted, Attempt, Refused, Unavailable
from providers.httpx_wire import HttpxWire
from providers.sms_service import SmsService
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


async def test_two_sends_to_one_number_take_turns_and_others_do_not_wait(
    wire: HttpxWire,
) -> None:
    stand_in = StandIn(holds=0.05)
    starts = Starts()
    attempts: list[Attempt] = []

    async with serve(stand_in) as server:
        adapter = SmsService(server.url, wire)

        async def send(address: str) -> None:
            attempts.append(await adapter.send(sms(address=address), starts))

        async with trio.open_nursery() as nursery:
            for address in ("+391", "+391", "+391", "+392"):
                nursery.start_soon(send, address)
    assert stand_in.most_a_number == 1
    assert server.max_open == 2
    assert all(isinstance(attempt, Accepted) for attempt in attempts)
    *_, third, fourth = sorted(starts.times)
    assert fourth - third > 0.04  # the start is told after the turn has come


async def test_turns_leave_nothing_behind_not_even_when_cancelled(wire: HttpxWire) -> None:
    async with serve(StandIn(holds=0.05)) as server:
        adapter = SmsService(server.url, wire)
        starts = Starts()
        await adapter.send(sms(), starts)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(adapter.send, sms(), starts)
            await server.until(2)
            nursery.cancel_scope.cancel()
        with trio.CancelScope() as scope:
            scope.cancel()
            await adapter.send(sms(), starts)
        assert adapter.waiting_numbers == 0
        assert len(starts.times) == 2
        await adapter.send(sms(), starts)
