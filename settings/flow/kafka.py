"""Kafka: its brokers as the environment names them, and the parts that need them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Final, get_args

from carillon.kafka.connection import KafkaConnection, Mechanism
from carillon.settings.environment import Environment
from carillon.settings.flow.keys import FlowKeys, StreamKeys
from carillon.settings.model import KafkaSettings, StreamSettings

NEEDED: Final = "Kafka needs a client; install it: pip install 'carillon-messaging[kafka]'"

_MECHANISMS: Final[tuple[Mechanism, ...]] = get_args(Mechanism)
_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}")
_HIGHEST_PORT: Final = 65_535
_LONGEST_TIMEOUT: Final = 600_000


def stream(keys: StreamKeys | None) -> StreamSettings | None:
    """How commands and events pass through topics; None where nothing is configured."""
    if keys is None:
        return None
    return StreamSettings(
        commands_topic=keys.commands_topic,
        events_topic=keys.events_topic,
        group_id=keys.group_id,
        labels=None if keys.labels is None else tuple(keys.labels),
        start_at=keys.start_at,
        session_timeout=keys.session_timeout,
    )


def kafka(env: Environment, flow: FlowKeys | None, *, has_providers: bool) -> KafkaSettings | None:
    """The brokers; None when neither sagas nor providers need them."""
    section = None if flow is None else flow.kafka
    if flow is not None and section is not None:
        _check_section(flow, section, env)
    if section is None and not has_providers:
        return None
    if find_spec("confluent_kafka") is None:
        env.problems.add(("KAFKA_BROKERS",) if section is None else _place(), NEEDED)
    brokers = env.maybe("KAFKA_BROKERS", _brokers) or ()
    if not env.has("KAFKA_BROKERS"):
        env.problems.add(("KAFKA_BROKERS",), "is missing; Kafka is configured and needs it")
    return KafkaSettings(_connection(brokers, env))


def kafka_warnings(found: KafkaSettings | None) -> Iterable[str]:
    """What of it may not be what somebody expects."""
    if found is not None:
        named = {
            "KAFKA_USERNAME": found.connection.username,
            "KAFKA_PASSWORD": found.connection.password,
        }
        given = [name for name, value in named.items() if value is not None]
        if len(given) == 1:
            yield f"{given[0]} is set alone: without both there is neither SASL nor TLS"


def _place() -> tuple[str, str]:
    return ("flowManagerConfiguration", "kafka")


def _check_section(flow: FlowKeys, section: StreamKeys, env: Environment) -> None:
    place = _place()
    if section.commands_topic is None and section.events_topic is None:
        env.problems.add(place, "needs commandsTopic, eventsTopic or both")
    if section.events_topic is not None and flow.service_url is not None:
        env.problems.add(
            (*place, "eventsTopic"), "events go one way: leave this out, or serviceUrl"
        )


def _connection(brokers: tuple[str, ...], env: Environment) -> KafkaConnection:
    username, password = env.text("KAFKA_USERNAME"), env.text("KAFKA_PASSWORD")
    milliseconds = env.read("KAFKA_CONNECTION_TIMEOUT", _milliseconds, 1000) + env.read(
        "KAFKA_AUTHENTICATION_TIMEOUT", _milliseconds, 1000
    )
    return KafkaConnection(
        brokers=brokers,
        client_id=env.text("KAFKA_CLIENT_ID") or "carillon",
        username=username,
        password=password,
        mechanism=env.read("KAFKA_AUTH_MECHANISM", _mechanism, "PLAIN"),
        setup_timeout=milliseconds / 1000,
    )


def _brokers(text: str) -> tuple[str, ...]:
    allowed = "a list of `host:port`"
    brokers = _list(_BROKER, allowed)(text)
    if not all(0 < int(broker.rpartition(":")[2]) <= _HIGHEST_PORT for broker in brokers):
        raise ValueError(f"{allowed}, each port from 1 to {_HIGHEST_PORT}")
    return brokers


def _list(pattern: re.Pattern[str], allowed: str) -> Callable[[str], tuple[str, ...]]:
    def convert(text: str) -> tuple[str, ...]:
        names = tuple(name for part in text.split(",") if (name := part.strip()))
        if not names or not all(map(pattern.fullmatch, names)):
            raise ValueError(f"{allowed}, with commas between them")
        return names

    return convert


def _mechanism(text: str) -> Mechanism:
    for mechanism in _MECHANISMS:
        if mechanism == text.upper():
            return mechanism
    raise ValueError(f"one of {', '.join(_MECHANISMS)}")


def _milliseconds(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:9]) <= _LONGEST_TIMEOUT:
        raise ValueError(f"whole milliseconds from 1 to {_LONGEST_TIMEOUT}")
    return int(text)
