"""Kafka in the environment and in `flowManagerConfiguration.kafka`."""

from __future__ import annotations

import sys

import pytest

from carillon.kafka.connection import KafkaConnection
from carillon.messages.model import Document, JsonValue
from carillon.providers.kafka2firebase import Kafka2FirebaseConfig
from carillon.settings import KafkaSettings, StreamSettings
from tests.settings.examples import SMS_ENVIRONMENT, problems, settings, sms

BROKERS = {**SMS_ENVIRONMENT, "KAFKA_BROKERS": "a:9092, b:9093,"}
PUSH: Document = {"activeChannels": ["push"]}


def flow(kafka: JsonValue, **keys: JsonValue) -> Document:
    section: Document = {"metadataSchema": {"channels": "channels"}, "kafka": kafka, **keys}
    return sms(flowManagerConfiguration=section)


def test_the_smallest_section_gets_every_default() -> None:
    found = settings(flow({"commandsTopic": "c"}), BROKERS)

    assert found.flow_manager is not None
    assert found.flow_manager.stream == StreamSettings(commands_topic="c")
    assert not found.flow_manager.tells
    assert found.kafka == KafkaSettings(KafkaConnection(("a:9092", "b:9093")))
    assert found.kafka.connection.setup_timeout == 2.0


def test_every_key_arrives() -> None:
    section: Document = {
        "commandsTopic": "c",
        "eventsTopic": "e",
        "groupId": "g",
        "labels": ["tell"],
        "startAt": "earliest",
        "sessionTimeout": "6s",
    }
    found = settings(flow(section), BROKERS).flow_manager

    assert found is not None
    assert found.stream == StreamSettings("c", "e", "g", ("tell",), "earliest", 6.0)
    assert found.tells


def test_the_environment_says_who_asks_the_brokers() -> None:
    environ = {
        **BROKERS,
        "KAFKA_CLIENT_ID": "me",
        "KAFKA_USERNAME": "user",
        "KAFKA_PASSWORD": "secret-word",
        "KAFKA_AUTH_MECHANISM": "scram-sha-256",
        "KAFKA_CONNECTION_TIMEOUT": "3000",
        "KAFKA_AUTHENTICATION_TIMEOUT": "500",
    }
    found = settings(flow({"eventsTopic": "e"}), environ).kafka

    assert found is not None
    said = found.connection.settings()
    assert (said["client.id"], said["bootstrap.servers"]) == ("me", "a:9092,b:9093")
    assert (said["security.protocol"], said["sasl.mechanism"]) == ("SASL_SSL", "SCRAM-SHA-256")
    assert (said["sasl.username"], said["sasl.password"]) == ("user", "secret-word")
    assert said["socket.connection.setup.timeout.ms"] == 3500
    assert "secret-word" not in repr(found)


@pytest.mark.parametrize("missing", ["KAFKA_USERNAME", "KAFKA_PASSWORD"])
def test_without_both_user_and_password_there_is_neither_tls_nor_sasl(missing: str) -> None:
    environ = {**BROKERS, "KAFKA_USERNAME": "user", "KAFKA_PASSWORD": "word"}
    del environ[missing]

    found = settings(flow({"eventsTopic": "e"}), environ).kafka

    assert found is not None
    assert "security.protocol" not in found.connection.settings()


@pytest.mark.parametrize(
    ("section", "environ", "expected"),
    [
        ({}, {}, "flowManagerConfiguration.kafka: needs commandsTopic, eventsTopic or both"),
        ({"commandsTopic": "a b"}, {}, "flowManagerConfiguration.kafka.commandsTopic"),
        ({"eventsTopic": "e", "labels": []}, {}, "flowManagerConfiguration.kafka.labels"),
        ({"eventsTopic": "e", "topic": "e"}, {}, "flowManagerConfiguration.kafka.topic"),
        ({"eventsTopic": "e"}, {"KAFKA_BROKERS": ""}, "KAFKA_BROKERS: is missing"),
        ({"eventsTopic": "e"}, {"KAFKA_BROKERS": "a"}, "KAFKA_BROKERS"),
        ({"eventsTopic": "e"}, {"KAFKA_AUTH_MECHANISM": "aws"}, "KAFKA_AUTH_MECHANISM"),
        ({"eventsTopic": "e"}, {"KAFKA_CONNECTION_TIMEOUT": "1s"}, "KAFKA_CONNECTION_TIMEOUT"),
    ],
)
def test_what_is_wrong_is_named(section: Document, environ: dict[str, str], expected: str) -> None:
    (found,) = problems(flow(section), {**BROKERS, **environ})

    assert found.startswith(expected)


def test_events_go_one_way() -> None:
    (found,) = problems(flow({"eventsTopic": "e"}, serviceUrl="http://flow"), BROKERS)

    assert found.startswith("flowManagerConfiguration.kafka.eventsTopic: events go one way")


def test_push_through_kafka_needs_brokers_and_a_topic() -> None:
    found = problems(PUSH, {"KAFKA_2_FIREBASE_SERVICE_NAME": "k"})

    assert [line.partition(":")[0] for line in found] == ["KAFKA_BROKERS", "KAFKA_TOPICS"]


def test_brokers_are_no_address_of_the_provider() -> None:
    section: Document = {"kafka2firebase": {"url": "http://k"}}
    environ = {"KAFKA_BROKERS": "a:1", "KAFKA_TOPICS": "t"}

    (found,) = problems({**PUSH, "providers": section}, environ)

    assert found == "providers.kafka2firebase.url: KAFKA_BROKERS says where Kafka is"


def test_of_several_topics_the_first_one_gets_every_notification() -> None:
    found = settings(PUSH, {"KAFKA_BROKERS": "a:1", "KAFKA_TOPICS": "first,second"})

    assert found.kafka is not None
    config = found.providers["kafka2firebase"].config
    assert isinstance(config, Kafka2FirebaseConfig)
    assert config.topics == ("first", "second")
    assert 'produced to the first one only ("first")' in found.warnings[-1]


@pytest.mark.parametrize(
    ("document", "environ", "place"),
    [
        (flow({"eventsTopic": "e"}), BROKERS, "flowManagerConfiguration.kafka"),
        (PUSH, {"KAFKA_BROKERS": "a:1", "KAFKA_TOPICS": "t"}, "KAFKA_BROKERS"),
    ],
)
def test_without_the_extra_the_start_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, document: Document, environ: dict[str, str], place: str
) -> None:
    monkeypatch.setattr("carillon.settings.flow.kafka.find_spec", lambda _: None)
    monkeypatch.delitem(sys.modules, "confluent_kafka", raising=False)

    (found,) = problems(document, environ)

    client = "pip install 'carillon-messaging[kafka]'"
    assert found == f"{place}: Kafka needs a client; install it: {client}"


def test_brokers_that_nobody_needs_are_not_looked_at() -> None:
    assert settings(sms(), {**SMS_ENVIRONMENT, "KAFKA_BROKERS": "???"}).kafka is None


@pytest.mark.parametrize("brokers", ["a:0", "a:65536", "a:1,b:99999", "[::1]:70000"])
def test_a_broker_has_a_port_that_there_is(brokers: str) -> None:
    (found,) = problems(PUSH, {"KAFKA_BROKERS": brokers, "KAFKA_TOPICS": "t"})

    assert found == (
        f'KAFKA_BROKERS: "{brokers}" is not allowed; it must be a list of `host:port`, each port '
        "from 1 to 65535"
    )


@pytest.mark.parametrize("name", ["KAFKA_USERNAME", "KAFKA_PASSWORD"])
def test_half_of_the_credentials_is_warned_of(name: str) -> None:
    found = settings(PUSH, {"KAFKA_BROKERS": "a:1", "KAFKA_TOPICS": "t", name: "hunter2"})

    (warning,) = found.warnings
    assert warning.startswith(f"{name} is set alone")
    assert "hunter2" not in warning
