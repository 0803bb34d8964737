"""Writes a command of a saga to a topic, as a Flow Manager does: key = saga id, value = JSON.

pip install 'carillon-messaging[kafka]'
python saga_command.py localhost:9092 commands ORD-42 notifyBuyer '{"buyer": {"id": "7"}}'
"""

from __future__ import annotations

import json
import sys

from confluent_kafka import KafkaError, KafkaException, Message, Producer


def main(brokers: str, topic: str, saga: str, label: str, payload: str) -> None:
    """Produce one command and wait until the cluster has it. Raises KafkaException."""
    producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True})
    value = {"messageLabel": label, "messagePayload": json.loads(payload)}
    producer.produce(topic, key=saga, value=json.dumps(value), on_delivery=_reported)
    if producer.flush(30):
        sys.exit("no broker has answered within 30 s")


def _reported(error: KafkaError | None, message: Message[bytes, bytes]) -> None:
    if error is not None:
        raise KafkaException(error)
    place = f"{message.topic()}/{message.partition()}/{message.offset()}"
    sys.stdout.write(f"written to {place}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
