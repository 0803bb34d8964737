"""Checks that a Kafka cluster answers and accepts the credentials. Needs the extra `kafka`."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from carillon.kafka.connection import KafkaConnection

_AHEAD: Final = 0.5
"""Seconds by which it gives up before its caller would."""


def look_at_cluster(connection: KafkaConnection, seconds: float) -> str | None:
    """Ask for the cluster's topics and wait; returns what is wrong, or None if it answers."""
    client = AdminClient({**connection.settings()})
    try:
        client.list_topics(timeout=max(seconds - _AHEAD, _AHEAD))
    except KafkaException as error:
        return f"no broker answers ({error.args[0].name()})"
    return None
