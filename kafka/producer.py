"""A librdkafka producer for trio tasks: a thread of its own polls, and reports wake the tasks.

Messages are idempotent and acknowledged by all in-sync replicas, so a report of success means that
the cluster has the message. Needs the extra `kafka`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import trio
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from carillon.kafka.connection import KafkaConnection
from carillon.kafka.reports import NotStored, Report, Stored, Unreported
from carillon.messages.model import FailureKind

_POLL: Final = 0.1
_FULL: Final = 0.01
"""Seconds before a full queue is retried."""
_LAST_WORDS: Final = 2.0
"""Seconds for what is still queued when the service stops."""

_REFUSED: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.RECORD_LIST_TOO_LARGE,
    }
)
"""Errors after which the message will never be taken."""

_NOT_TAKEN: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError._PURGE_QUEUE,
        KafkaError._AUTHENTICATION,
    }
)
"""Errors after which nothing was stored, and a later attempt may succeed."""
_KINDS: Final[Mapping[int, FailureKind]] = {
    KafkaError._RESOLVE: "dns",
    KafkaError._SSL: "tls",
    KafkaError._TIMED_OUT: "timeout",
    KafkaError._MSG_TIMED_OUT: "timeout",
    KafkaError._TIMED_OUT_QUEUE: "timeout",
    KafkaError.REQUEST_TIMED_OUT: "timeout",
    KafkaError._TRANSPORT: "refused",
    KafkaError._ALL_BROKERS_DOWN: "refused",
    KafkaError._QUEUE_FULL: "own-limit",
}


@dataclass(eq=False, slots=True)
class _Waiting:
    """A task that waits for a report."""

    done: trio.Event = field(default_factory=trio.Event)
    error: KafkaError | None = None
    place: str = ""


class KafkaProducer:
    """Produces messages. A message without a report within `timeout` seconds is given up."""

    def __init__(self, connection: KafkaConnection, timeout: float) -> None:
        self._settings = {
            **connection.settings(),
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 2,
            # As in Java's client: the same key goes to the same partition, whoever produces it.
            "partitioner": "murmur2_random",
            "message.timeout.ms": max(1, round(timeout * 1000)),
        }
        self._probe_timeout = connection.setup_timeout
        self._producer: Producer | None = None
        self._poller: threading.Thread | None = None
        self._closing = threading.Event()
        self._is_away = True
        self._known: set[str] = set()

    async def problem(self, topic: str) -> NotStored | None:
        """Why nothing can be produced to a topic now; None if a broker answers for it.

        It asks until a broker has answered once, and again after all of them were lost.
        """
        if not self._is_away and topic in self._known:
            return None
        producer = self._running()
        try:
            self._is_away = False  # before it asks: a loss meanwhile must not be overwritten
            found = await trio.to_thread.run_sync(
                lambda: producer.list_topics(topic, timeout=self._probe_timeout),
                abandon_on_cancel=True,
            )
        except KafkaException as error:
            self._is_away = True
            return _not_stored(_error(error))
        wrong: KafkaError | None = found.topics[topic].error
        if wrong is not None:
            return _not_stored(wrong)
        self._known.add(topic)
        return None

    async def produce(
        self, topic: str, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> Report:
        """Produce one message and wait for its report. Cancelling does not withdraw the message."""
        waiting = _Waiting()
        token = trio.lowlevel.current_trio_token()

        def reported(error: KafkaError | None, message: Message[bytes, bytes]) -> None:
            waiting.error = error
            waiting.place = f"{message.topic()}/{message.partition()}/{message.offset()}"
            try:
                token.run_sync_soon(waiting.done.set)
            except trio.RunFinishedError:  # no task waits any more
                return

        while True:
            try:
                self._running().produce(
                    topic,
                    key=key.encode(errors="replace"),
                    value=value,
                    headers=None if headers is None else dict(headers),
                    on_delivery=reported,
                )
                break
            except BufferError:
                await trio.sleep(_FULL)
            except KafkaException as error:
                return self._judge(_error(error))
        await waiting.done.wait()
        return Stored(waiting.place) if waiting.error is None else self._judge(waiting.error)

    async def aclose(self) -> None:
        """Give queued messages a moment to leave, and end the thread."""
        producer, poller = self._producer, self._poller
        self._closing.set()
        if producer is None or poller is None:
            return
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(producer.flush, _LAST_WORDS)
            await trio.to_thread.run_sync(poller.join)
        self._producer = None

    def _running(self) -> Producer:
        """The producer, created and polled from its first use on."""
        if self._producer is None:
            self._producer = Producer({**self._settings, "error_cb": self._troubled})
        if self._poller is None:
            self._poller = threading.Thread(target=self._poll, name="kafka-producer", daemon=True)
            self._poller.start()
        return self._producer

    def _poll(self) -> None:
        while not self._closing.is_set():
            producer = self._producer
            if producer is None:
                self._closing.wait(_POLL)
            else:
                producer.poll(_POLL)

    def _troubled(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._is_away = True

    def _judge(self, error: KafkaError) -> Report:
        said, kind = error.str(), _KINDS.get(error.code())
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._producer = None  # it will never produce again: the next message gets a new one
            self._is_away = True
            return Unreported(said, kind)
        if error.code() in _REFUSED:
            return NotStored(said, refused=True)
        if error.code() in _NOT_TAKEN:
            self._known.clear()
            return NotStored(said, kind=kind)
        return Unreported(said, kind)


def _error(exception: KafkaException) -> KafkaError:
    error = exception.args[0]
    return error if isinstance(error, KafkaError) else KafkaError(KafkaError._FAIL, str(error))


def _not_stored(error: KafkaError) -> NotStored:
    return NotStored(str(error.str()), kind=_KINDS.get(error.code()))
