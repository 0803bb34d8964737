"""Brokers of Kafka for tests: librdkafka's own mock cluster, on real sockets of this machine.

It lives in a client that owns it, in a process of its own where a test wants to stop or kill it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from confluent_kafka import Consumer, Message, Producer, TopicPartition

Raw: TypeAlias = "Message[bytes, bytes]"


@dataclass(frozen=True)
class Cluster:
    """A cluster that listens."""

    bootstrap: str

    def create(self, topic: str) -> None:
        """Make a topic of four partitions, as the mock does when it is asked for one."""
        client = Producer({"bootstrap.servers": self.bootstrap})
        until = time.monotonic() + 10
        while client.list_topics(topic, timeout=10).topics[topic].error is not None:
            assert time.monotonic() < until
            time.sleep(0.05)

    def produce(
        self, topic: str, *rows: tuple[str | bytes | None, str | bytes | None], partition: int = -1
    ) -> None:
        """Write records of a key and a value, and wait until they are stored."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "message.max.bytes": 30_000_000})
        errors: list[object] = []
        for key, value in rows:
            producer.produce(
                topic,
                key=key,
                value=value,
                partition=partition,
                on_delivery=lambda error, _: errors.append(error),
            )
        assert producer.flush(20) == 0
        assert not any(errors), errors

    def read(self, topic: str, count: int = 0, seconds: float = 10.0) -> list[Raw]:
        """What stands in a topic, all partitions from their beginnings on.

        Reads until there are `count` records, or for all that are there now.
        """
        consumer = Consumer(
            {"bootstrap.servers": self.bootstrap, "group.id": "reader", "enable.auto.commit": False}
        )
        try:
            numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            places = [TopicPartition(topic, number, 0) for number in numbers]
            ends = [consumer.get_watermark_offsets(place, timeout=10) for place in places]
            wanted = max(count, sum(high for _, high in ends))
            consumer.assign(places)
            found: list[Raw] = []
            until = time.monotonic() + seconds
            while len(found) < wanted and time.monotonic() < until:
                message = consumer.poll(0.1)
                if message is not None and message.error() is None:
                    found.append(message)
            return found
        finally:
            consumer.close()

    def committed(self, topic: str, group: str = "carillon") -> Mapping[int, int]:
        """The offsets that a group has committed, by partition, where it has any."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        try:
            numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            places = [TopicPartition(topic, number) for number in numbers]
            found: Sequence[TopicPartition] = consumer.committed(places, timeout=10)
            return {place.partition: place.offset for place in found if place.offset >= 0}
        finally:
            consumer.close()


@contextmanager
def cluster(brokers: int = 3) -> Iterator[Cluster]:
    """A cluster in this process, as long as the body runs."""
    owner = Producer({"bootstrap.servers": "unused:1", "test.mock.num.brokers": brokers})
    until = time.monotonic() + 10
    found: list[str] = []
    while len(found) < brokers and time.monotonic() < until:
        known = owner.list_topics(timeout=5).brokers.values()
        found = [f"{broker.host}:{broker.port}" for broker in known]
    try:
        yield Cluster(",".join(found))
    finally:
        owner.flush(1)
        del owner
