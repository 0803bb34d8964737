"""Calls that are one HTTP exchange: carried by the channel's task, over real connections."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from carillon.actors.capacity.share import CONCURRENCY, Grant, Part
from carillon.actors.provider.guard import Guard
from carillon.actors.provider.limits import Limits, Retry
from carillon.http_client.client import Http1Wire
from carillon.http_client.ports import Reply
from carillon.messages.model import Attempt, Delivery, TextContent
from carillon.messages.ports.journal import AttemptStart, StartsTold
from carillon.providers.ports import Exchange
from carillon.providers.sms_service import SmsService
from tests.actors.fakes import Log
from tests.actors.workshop import Workshop, guard
from tests.http_client.raw_http import Raw, Talk, raw_server

OK = b'HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{"sid":"SM%02d"}'
WARM = 2
"""So many calls go by tasks of their own, until a connection has proven to be left open."""


ALL = Grant({CONCURRENCY: Part(2, 2)})


class Late(SmsService):
    """Reads answers with a bug, once it is told to."""

    is_broken = False

    def exchange(self, delivery: Delivery) -> Exchange:
        exchange = super().exchange(delivery)
        return Exchange(exchange.request, partial(self._read, exchange))

    def _read(self, exchange: Exchange, reply: Reply, delivery: Delivery) -> Attempt:
        if self.is_broken:
            raise RuntimeError("bug")
        return exchange.read(reply, delivery)


class HeldLog(Log):
    """Tells of starts when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[StartsTold] | None = None

    def start_all(self, attempts: Sequence[AttemptStart], told: StartsTold) -> None:
        if self.held is None:
            super().start_all(attempts, told)
        else:
            self.held.append(told)


class Service:
    """Answers what it is asked, each call by its number; what `stalls` is read and no more."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.stalls = False
        self.answer = OK
        self.broke_off = 0

    async def talk(self, talk: Talk) -> None:
        while True:
            request = await talk.request()
            self.bodies.append(request)
            if self.stalls:
                await talk.until_gone()
                self.broke_off += 1
                return
            await talk.say(self.answer % (len(self.bodies) % 100))


class Post:
    """A channel whose provider is spoken to over HTTP, warm."""

    def __init__(self, raw: Raw, service: Service, provider: Late, it: Guard) -> None:
        self.raw, self.service, self.provider, self.guard = raw, service, provider, it
        self.log = HeldLog()
        self.shop = Workshop(it, log=self.log)

    async def warm(self) -> None:
        for number in range(WARM):
            self.shop.put(f"warm{number}", address=f"+39000{number}")
            await self.shop.answered(number + 1)
            await trio.sleep(0.05)

    def put(self, *names: str) -> None:
        for at, name in enumerate(names):
            self.shop.put(name, address=f"+39{at:07d}")


@asynccontextmanager
async def post(limits: Limits) -> AsyncGenerator[Post]:
    service, wire = Service(), Http1Wire()
    async with raw_server(service.talk) as raw:
        provider = Late(raw.url, wire)
        yield Post(raw, service, provider, guard("p", provider, limits))
        await wire.aclose()


async def test_calls_are_made_without_a_task_for_each() -> None:
    async with post(Limits(3)) as it, it.shop.running():
        await it.warm()
        names = [f"m{number}" for number in range(40)]
        it.put(*names)
        await it.shop.answered(WARM + 40, within=20)
        assert set(it.shop.outcomes().values()) == {"sent"}
        assert it.raw.connections <= 1 + 3
        assert it.guard.statistics().in_flight == 0
        assert len({one.provider_message_id for one in it.shop.receipts.values()}) == WARM + 40
        assert [start.number for start in it.log.starts] == [1] * (WARM + 40)


async def test_an_answer_that_never_comes_ends_its_call_and_connection() -> None:
    async with post(Limits(1, timeout=0.5)) as it, it.shop.running():
        await it.warm()
        it.service.stalls = True
        it.put("a")
        await it.shop.answered(WARM + 1, within=20)
        receipt = it.shop.receipts["a"]
        assert (receipt.outcome, receipt.error) == ("in-doubt", "no answer within 0.5 s")
        await it.raw.until_ended(1)
        it.service.stalls = False
        it.put("b")
        await it.shop.answered(WARM + 2, within=20)
        assert it.shop.outcomes()["b"] == "sent"


async def test_an_answer_without_its_end_counts_by_its_status() -> None:
    async with post(Limits(1, timeout=0.5)) as it, it.shop.running():
        await it.warm()
        it.service.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n%d"
        it.put("a")
        await it.shop.answered(WARM + 1, within=20)
        assert it.shop.outcomes()["a"] == "sent"
        await it.raw.until_ended(1)


async def test_a_bug_in_reading_an_answer_concerns_its_message_alone() -> None:
    async with post(Limits(2)) as it, it.shop.running():
        await it.warm()
        it.provider.is_broken = True
        it.put("a")
        await it.shop.answered(WARM + 1, within=20)
        it.provider.is_broken = False
        it.put("b", "c")
        await it.shop.answered(WARM + 3, within=20)
        outcomes = it.shop.outcomes()
        assert [outcomes[name] for name in "abc"] == ["in-doubt", "sent", "sent"]
        assert len(it.shop.bugs) == 1
        assert it.guard.statistics().in_flight == 0


async def test_a_cancelled_channel_leaves_no_connection_half_used() -> None:
    async with post(Limits(1)) as it:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.shop.calls.run)
            await it.warm()
            it.service.stalls = True
            it.put("a")
            while len(it.service.bodies) < WARM + 1:
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        await it.raw.until_ended(1)
        assert it.service.broke_off == 1
        assert it.guard.statistics().in_flight == 0
        [job] = it.shop.calls.workers.jobs.values()
        assert (job.envelope.delivery.id, job.envelope.open_attempt) == ("a", "p")


async def test_an_answer_that_is_there_when_the_channel_is_cancelled_counts() -> None:
    async with post(Limits(1)) as it:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.shop.calls.run)
            await it.warm()
            it.put("a")
            while len(it.service.bodies) < WARM + 1:  # then it is answered in the same breath
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert it.shop.outcomes()["a"] == "sent"
        assert it.shop.calls.workers.jobs == {}


async def test_nothing_leaves_before_its_start_is_on_record() -> None:
    async with post(Limits(2)) as it, it.shop.running():
        await it.warm()
        it.log.held = []
        it.put("a", "b")
        await trio.sleep(0.05)
        [told] = it.log.held
        assert len(it.service.bodies) == WARM
        told({})
        await it.shop.answered(WARM + 2, within=20)


async def test_a_call_whose_share_ended_meanwhile_does_not_start() -> None:
    async with post(Limits(2)) as it, it.shop.running():
        await it.warm()
        it.guard.join(lambda: None)
        it.guard.take_share(ALL, trio.current_time() + 60)
        it.log.held = []
        it.put("a")
        await wait_all_tasks_blocked()
        [told], it.log.held = it.log.held, None
        it.guard.end_share()
        told({})
        await trio.sleep(0.05)
        assert len(it.service.bodies) == WARM
        assert it.shop.inbox.depth == 1
        it.guard.take_share(ALL, trio.current_time() + 60)
        await it.shop.answered(WARM + 1, within=20)
        receipt = it.shop.receipts["a"]
        assert (receipt.outcome, receipt.attempts) == ("sent", 1)
        assert [start.number for start in it.log.starts] == [1] * WARM + [2]


async def test_a_refusal_is_tried_again_like_any_other() -> None:
    async with post(Limits(1, retry=Retry(2, 0.01, 0.01))) as it, it.shop.running():
        await it.warm()
        it.service.answer = b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\n%02d"
        it.put("a")
        await it.shop.answered(WARM + 1, within=20)
        receipt = it.shop.receipts["a"]
        assert (receipt.outcome, receipt.attempts) == ("failed", 2)
        assert [(end.number, end.result) for end in it.log.ends] == [(1, "unavailable")]


@pytest.mark.parametrize("size", [10, 8_000_000])
async def test_a_text_of_any_size_goes_whole(size: int) -> None:
    async with post(Limits(1)) as it, it.shop.running():
        await it.warm()
        [envelope] = it.shop.put("a")
        envelope.delivery = replace(envelope.delivery, content=TextContent("x" * size))
        await it.shop.answered(WARM + 1, within=60)
        assert it.shop.outcomes()["a"] == "sent"
        assert it.service.bodies[-1].count(b"x") == size
        assert envelope.attempts == 1
