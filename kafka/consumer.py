"""A librdkafka consumer for one trio task: each call runs in a thread, and is short.

Rebalances are reported from within a call: the thread waits until the holder has given up the
revoked partitions, and only then releases them. Needs the extra `kafka`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar

import trio
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE as NO_TIME
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from carillon.kafka.connection import KafkaConnection, Settings
from carillon.kafka.ports import Holder, Part, Record

T = TypeVar("T")
StartAt = Literal["latest", "earliest"]
Raw: TypeAlias = "Message[bytes, bytes]"

_ASKING: Final = 10.0
"""Timeout in seconds for asking brokers where to start reading granted partitions."""
_LEAVING: Final = 5.0
"""Seconds for the last commit and for leaving the group when the service stops."""
_MOST_BYTES: Final = 64 * 1024 * 1024
"""Most bytes that are fetched ahead of being read."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic, the group that reads it, and where a new group starts.

    A member that is silent for `session_timeout` seconds loses its partitions.
    """

    topic: str
    group: str
    start_at: StartAt = "latest"
    session_timeout: float = 30.0


class KafkaSource:
    """Implements `kafka.ports.Source`."""

    def __init__(
        self, connection: KafkaConnection, subscription: Subscription, holder: Holder
    ) -> None:
        self._subscription = subscription
        self._holder = holder
        self._limiter = trio.CapacityLimiter(1)
        settings = _settings(connection, subscription)
        self._consumer = Consumer(
            {**settings, "error_cb": self._reported, "on_commit": self._committed}
        )
        self._is_subscribed = False
        self._held = False
        self._assigned: set[Part] = set()
        self._paused: set[Part] = set()
        self._due: dict[Part, int] = {}
        self._batch: list[Raw] = []
        self._given: list[TopicPartition] | None = None

    async def poll(self, most: int, seconds: float) -> Sequence[Record]:
        """See the port."""
        await trio.lowlevel.checkpoint()  # the only place where it can be cancelled
        return await self._in_thread(lambda: self._poll(most, seconds))

    async def hold(self, held: bool) -> None:  # noqa: FBT001 - as in the port
        """See the port."""
        self._held = held
        if self._paused != (self._assigned if held else set()):
            await self._in_thread(self._pause_or_resume)

    async def commit(self, offsets: Mapping[Part, int]) -> None:
        """See the port."""
        self._due.update(offsets)
        if self._due:
            await self._in_thread(self._commit)

    async def close(self) -> None:
        """See the port."""
        with trio.move_on_after(_LEAVING):
            await self._in_thread(self._consumer.close, abandon=True)

    async def _in_thread(self, run: Callable[[], T], *, abandon: bool = False) -> T:
        """Run in a thread, shielded: a rebalance reported from within must not be cut short."""
        found: list[T] = []
        with trio.CancelScope(shield=not abandon):
            found.append(
                await trio.to_thread.run_sync(run, limiter=self._limiter, abandon_on_cancel=abandon)
            )
        return found[0]

    def _poll(self, most: int, seconds: float) -> list[Record]:
        if not self._is_subscribed:
            self._consumer.subscribe(
                [self._subscription.topic],
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_lost,
            )
            self._is_subscribed = True
        self._take_over()
        self._batch = []
        # The first one as soon as it comes: asked for several, librdkafka waits for all of them.
        first = self._consumer.poll(seconds)
        if first is not None:
            self._batch.append(first)
            if most > 1:  # a rebalance from within may shrink the batch: extend it only afterwards
                more = self._consumer.consume(most - 1, 0)
                self._batch.extend(more)
        records = map(self._record, self._batch)
        return [one for one in records if one is not None and one.part in self._assigned]

    def _record(self, message: Raw) -> Record | None:
        error = message.error()
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                self._reported(error)
            return None
        if topic is None or partition is None or offset is None:
            return None
        kind, at = message.timestamp()
        moment = None if kind == NO_TIME else at
        return Record(topic, partition, offset, message.key(), message.value(), moment)

    def _pause_or_resume(self) -> None:
        try:
            if self._held:
                self._consumer.pause(_places(dict.fromkeys(self._assigned - self._paused, 0)))
                self._paused = set(self._assigned)
            else:
                self._consumer.resume(_places(dict.fromkeys(self._paused & self._assigned, 0)))
                self._paused = set()
        except KafkaException as error:
            self._reported(_error(error))

    def _commit(self) -> None:
        """Commit without waiting: without a broker that could take forever.

        Requests keep their order, so a commit arrives before this member leaves the group or joins
        a rebalance.
        """
        ours = {part: offset for part, offset in self._due.items() if part in self._assigned}
        self._due = {}
        if not ours:
            return
        try:
            self._consumer.commit(offsets=_places(ours), asynchronous=True)
        except KafkaException as error:
            self._due = ours
            self._reported(_error(error))

    def _committed(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        """Retry what was not committed, unless a later offset is due meanwhile."""
        for place in places:
            wrong = error or place.error
            if wrong is not None and wrong.code() != KafkaError._NO_OFFSET:
                if (part := (place.topic, place.partition)) in self._assigned:
                    self._due.setdefault(part, place.offset)
                self._reported(wrong)

    def _on_assign(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        # Nothing is read before `_take_over` knows where: it may take several polls.
        consumer.assign([])
        self._given = given
        self._take_over()

    def _take_over(self) -> None:
        """Start reading granted partitions; if no broker says where, the next poll asks again."""
        given = self._given
        if given is None:
            return
        try:
            places = self._beginnings(given) if given else []
        except KafkaException as error:
            self._reported(_error(error))
            return
        self._given = None
        self._consumer.assign(places)
        self._assigned = {(place.topic, place.partition) for place in given}
        self._paused = set()
        trio.from_thread.run_sync(self._holder.granted, set(self._assigned))

    def _beginnings(self, given: list[TopicPartition]) -> list[TopicPartition]:
        """Where reading resumes. The start of a new group is decided and committed here, for good.

        Otherwise commands that come between a first start and its first commit could be skipped.
        """
        found = self._consumer.committed(given, timeout=_ASKING)
        for place in found:
            if place.error is not None:
                raise KafkaException(place.error)
        new = [place for place in found if place.offset < 0]
        for place in new:
            bare = TopicPartition(place.topic, place.partition)
            low, high = self._consumer.get_watermark_offsets(bare, timeout=_ASKING)
            place.offset = low if self._subscription.start_at == "earliest" else high
        if new:
            self._consumer.commit(offsets=new, asynchronous=True)
        return found

    def _on_revoke(self, consumer: Consumer, taken: list[TopicPartition]) -> None:
        parts = self._without(taken)
        self._due.update(trio.from_thread.run(self._holder.revoked, parts))
        # Before the partitions are released: their next reader starts at these offsets.
        self._commit()
        consumer.unassign()
        self._assigned -= parts
        self._paused -= parts

    def _on_lost(self, consumer: Consumer, taken: list[TopicPartition]) -> None:
        parts = self._without(taken)
        trio.from_thread.run(self._holder.lost, parts)
        consumer.unassign()
        self._assigned -= parts
        self._paused -= parts

    def _without(self, taken: list[TopicPartition]) -> set[Part]:
        """The partitions taken away; their records are removed from the batch being read."""
        self._given = None
        parts = {(place.topic, place.partition) for place in taken}
        self._batch = [one for one in self._batch if (one.topic(), one.partition()) not in parts]
        for part in parts:
            self._due.pop(part, None)
        return parts

    def _reported(self, error: KafkaError) -> None:
        """Report an error. Called in a thread of this consumer, also by librdkafka."""
        trio.from_thread.run_sync(self._holder.troubled, f"{error.name()}: {error.str()}")


def _settings(connection: KafkaConnection, subscription: Subscription) -> Settings:
    session = round(subscription.session_timeout * 1000)
    return {
        **connection.settings(),
        "group.id": subscription.group,
        "session.timeout.ms": session,
        "heartbeat.interval.ms": max(1, min(3000, session // 3)),
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # Where a new group starts is decided when partitions are granted. This is for offsets that
        # the topic no longer has: nothing of what is left is skipped.
        "auto.offset.reset": "earliest",
        "allow.auto.create.topics": False,
        "fetch.message.max.bytes": 4 * 1024 * 1024,
        "queued.max.messages.kbytes": _MOST_BYTES // 1024,
    }


def _places(offsets: Mapping[Part, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, part, offset) for (topic, part), offset in offsets.items()]


def _error(exception: KafkaException) -> KafkaError:
    error = exception.args[0]
    return error if isinstance(error, KafkaError) else KafkaError(KafkaError._FAIL, str(error))
