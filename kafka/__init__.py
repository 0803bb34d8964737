"""Clients of Kafka: connection, producer, consumer."""
