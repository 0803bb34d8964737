"""A notification becomes a record that Kafka2Firebase understands, and its report an outcome."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio

from carillon.kafka.connection import KafkaConnection
from carillon.kafka.producer import KafkaProducer
from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import (
    Accepted,
    Document,
    JsonValue,
    PushContent,
    Refused,
    TextContent,
    Unanswered,
    Unavailable,
)
from carillon.messages.ports.handovers import Handover
from carillon.providers.kafka2firebase import Kafka2Firebase, push_message
from tests.neighbours.kafka import Cluster, cluster
from tests.neighbours.kafka_process import cluster_process
from tests.providers.deliveries import delivery

pytestmark = pytest.mark.servers  # brokers on sockets
TOPIC = "push"
CONTENT = PushContent("t", "s", "b", {"priority": "normal"}, {"headers": {"apns-priority": 5}})


@pytest.fixture(scope="module")
def brokers() -> Iterator[Cluster]:
    with cluster() as made:
        made.create(TOPIC)
        yield made


class FakeHandovers:
    """Keeps what was handed over, unless it is broken."""

    def __init__(self) -> None:
        self.kept: list[Handover] = []
        self.is_broken = False

    async def add(self, handover: Handover) -> None:
        await trio.lowlevel.checkpoint()
        if self.is_broken:
            raise JournalUnavailable("no disk")
        self.kept.append(handover)

    async def find(self, delivery_id: str) -> Handover | None:
        return next((one for one in self.kept if one.delivery_id == delivery_id), None)

    async def retire(self, before: int) -> bool:
        return False


@asynccontextmanager
async def provider(
    bootstrap: str, timeout: float = 10.0, handovers: FakeHandovers | None = None
) -> AsyncGenerator[Kafka2Firebase]:
    connection = KafkaConnection(tuple(bootstrap.split(",")), setup_timeout=1.0)
    made = Kafka2Firebase(KafkaProducer(connection, timeout), TOPIC, handovers or FakeHandovers())
    try:
        yield made
    finally:
        await made.aclose()


class Starts:
    """Counts the starts of calls."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self) -> float:
        self.number += 1
        return trio.current_time() + 100


def test_the_message_has_every_field_of_the_contract() -> None:
    one = replace(delivery("push", CONTENT), address="t1")

    assert push_message(one, CONTENT) == {
        "device_tokens": ["t1"],
        "topics": [],
        "message_id": one.id,
        "push_notification": {
            "title": "t",
            "subtitle": "s",
            "message": "b",
            "android": {"priority": "normal"},
            "apns": {"headers": {"apns-priority": 5}},
        },
        "payload": None,
    }


@pytest.mark.parametrize(
    ("android", "action", "expected"),
    [
        (None, "", None),
        (None, "OPEN", {"notification": {"click_action": "OPEN"}}),
        ({"ttl": "1s"}, "OPEN", {"ttl": "1s", "notification": {"click_action": "OPEN"}}),
        (
            {"notification": {"clickAction": "THEIRS"}},
            "OPEN",
            {"notification": {"clickAction": "THEIRS"}},
        ),
    ],
)
def test_the_click_action_goes_where_firebase_reads_it(
    android: Document | None, action: str, expected: JsonValue
) -> None:
    content = PushContent("t", android=android)
    notification = push_message(delivery("push", content), content, action)["push_notification"]

    assert isinstance(notification, dict)
    assert notification.get("android") == expected


async def test_a_report_of_the_cluster_is_the_acceptance(brokers: Cluster) -> None:
    one, starts = delivery("push", CONTENT), Starts()
    async with provider(brokers.bootstrap) as kafka:
        attempt = await kafka.send(one, starts)
    (record,) = await trio.to_thread.run_sync(brokers.read, TOPIC)
    assert attempt == Accepted(f"{TOPIC}/{record.partition()}/{record.offset()}")
    assert starts.number == 1
    assert record.key() == one.user_id.encode()
    assert json.loads(record.value() or b"") == push_message(one, CONTENT)


async def test_what_is_handed_over_is_kept_first(brokers: Cluster) -> None:
    one, handovers = delivery("push", CONTENT), FakeHandovers()
    async with provider(brokers.bootstrap, handovers=handovers) as kafka:
        assert isinstance(await kafka.send(one, Starts()), Accepted)
        handovers.is_broken, starts = True, Starts()
        assert isinstance(await kafka.send(one, starts), Unavailable)
    (kept,) = handovers.kept
    assert (kept.delivery_id, kept.provider, kept.key) == (one.id, "kafka2firebase", one.key)
    assert starts.number == 0


async def test_while_no_broker_is_there_nothing_has_started() -> None:
    starts = Starts()
    async with provider("127.0.0.1:1") as kafka:
        attempt = await kafka.send(delivery("push", CONTENT), starts)
    assert isinstance(attempt, Unavailable)
    assert attempt.error.startswith("kafka2firebase: ")
    assert starts.number == 0


async def test_a_report_that_does_not_come_leaves_the_outcome_open() -> None:
    with cluster_process(TOPIC) as brokers:
        async with provider(brokers.bootstrap, timeout=2.0) as kafka:
            assert isinstance(await kafka.send(delivery("push", CONTENT), Starts()), Accepted)
            brokers.freeze()
            attempt = await kafka.send(delivery("push", CONTENT), Starts())
            brokers.thaw()
    assert isinstance(attempt, Unanswered)


async def test_brokers_that_died_are_noticed_and_nothing_more_starts() -> None:
    with cluster_process(TOPIC) as brokers:
        async with provider(brokers.bootstrap, timeout=3.0) as kafka:
            assert isinstance(await kafka.send(delivery("push", CONTENT), Starts()), Accepted)
            brokers.kill()
            starts = Starts()
            with trio.fail_after(20):
                while True:
                    attempt = await kafka.send(delivery("push", CONTENT), starts)
                    if isinstance(attempt, Unavailable):
                        break
                    assert isinstance(attempt, Unanswered)
            before = starts.number
            assert isinstance(await kafka.send(delivery("push", CONTENT), starts), Unavailable)
    assert starts.number == before


async def test_a_notification_that_is_too_large_is_refused(brokers: Cluster) -> None:
    content = PushContent("t", message="x" * 2_000_000)
    async with provider(brokers.bootstrap) as kafka:
        attempt = await kafka.send(delivery("push", content), Starts())
    assert isinstance(attempt, Refused)


async def test_a_cancelled_call_is_safe(brokers: Cluster) -> None:
    async with provider(brokers.bootstrap) as kafka:
        with trio.move_on_after(0):
            await kafka.send(delivery("push", CONTENT), Starts())
        assert isinstance(await kafka.send(delivery("push", CONTENT), Starts()), Accepted)


async def test_many_at_once_are_all_reported(brokers: Cluster) -> None:
    attempts: list[object] = []
    async with provider(brokers.bootstrap) as kafka:

        async def send() -> None:
            attempts.append(await kafka.send(delivery("push", CONTENT), Starts()))

        async with trio.open_nursery() as nursery:
            for _ in range(500):
                nursery.start_soon(send)
    assert [type(one) for one in attempts] == [Accepted] * 500


async def test_it_carries_nothing_else(brokers: Cluster) -> None:
    async with provider(brokers.bootstrap) as kafka:
        with pytest.raises(TypeError):
            await kafka.send(delivery("sms", TextContent("x")), Starts())
        assert kafka.serialize_by(delivery("push", CONTENT)) is None
