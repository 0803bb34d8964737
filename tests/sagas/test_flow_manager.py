"""The Flow Manager's adapter, against a stand-in on a socket (contracts 1.6)."""

from __future__ import annotations

from collections import deque

import pytest
import trio

from carillon.http_client.httpx_client import HttpxWire
from carillon.messages.model import Accepted, Refused, Unavailable
from carillon.messages.ports.outbox import SagaEvent
from carillon.sagas.flow_manager import FlowManager
from tests.http_client.fixtures import MakeWire
from tests.neighbours.flow_manager import FlowManager as StandIn
from tests.neighbours.flow_manager import ServiceAnswer
from tests.neighbours.http import Answer, serve

EVENT = SagaEvent("d-1", "ORD-42", "notificationSent", {"carillon": {"n": "é"}}, "d-1")


async def test_an_event_is_one_json_call_that_can_be_told_from_a_repeat(
    make_wire: MakeWire,
) -> None:
    stand_in = StandIn()
    async with serve(stand_in) as server:
        flow_manager = FlowManager(f"{server.url}/fm/", make_wire())
        assert await flow_manager.post(EVENT) == Accepted()
        assert await flow_manager.post(EVENT) == Accepted()
        await flow_manager.aclose()
    assert server.requests[0].path == "/fm/event"
    told = ServiceAnswer("ORD-42", "notificationSent", {"carillon": {"n": "é"}}, '"d-1"')
    assert stand_in.events == [told, told]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_is_acceptance(status: int, wire: HttpxWire) -> None:
    async with serve(StandIn(deque([Answer(status)]))) as server:
        assert await FlowManager(server.url, wire).post(EVENT) == Accepted()


@pytest.mark.parametrize("status", [301, 400, 401, 404, 409, 422])
async def test_other_answers_are_refusals(status: int, wire: HttpxWire) -> None:
    async with serve(StandIn(deque([Answer(status)]))) as server:
        verdict = await FlowManager(server.url, wire).post(EVENT)
    assert verdict == Refused(f"The Flow Manager answered {status}")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_some_answers_may_change(status: int, wire: HttpxWire) -> None:
    async with serve(StandIn(deque([Answer(status)]))) as server:
        verdict = await FlowManager(server.url, wire).post(EVENT)
    assert verdict == Unavailable(f"The Flow Manager answered {status}")


async def test_a_refusal_says_why(wire: HttpxWire) -> None:
    async with serve(StandIn(refusing={EVENT.label})) as server:
        verdict = await FlowManager(server.url, wire).post(EVENT)
    assert verdict == Refused("The Flow Manager answered 400: unexpected event notificationSent")


async def test_a_pause_that_is_asked_for_is_told(wire: HttpxWire) -> None:
    async with serve(StandIn(deque([Answer(503, headers={"retry-after": "7"})]))) as server:
        verdict = await FlowManager(server.url, wire).post(EVENT)
    assert verdict == Unavailable("The Flow Manager answered 503", 7.0)


async def test_without_an_answer_it_is_unavailable(wire: HttpxWire) -> None:
    async with serve(StandIn(is_down=True)) as server:
        lost = await FlowManager(server.url, wire).post(EVENT)
        url = server.url
    gone = await FlowManager(url, wire).post(EVENT)
    assert isinstance(lost, Unavailable)
    assert isinstance(gone, Unavailable)
    assert "127.0.0.1" not in lost.error + gone.error


async def test_a_call_takes_no_longer_than_its_timeout(wire: HttpxWire) -> None:
    async with serve(Answer(fault="hang")) as server:
        with trio.fail_after(3):
            verdict = await FlowManager(server.url, wire, timeout=0.1).post(EVENT)
    assert verdict == Unavailable("The Flow Manager: no answer within 0.1 s")
