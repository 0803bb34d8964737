"""Push through Kafka2Firebase: what stands in the topic, and what its hooks change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from carillon.messages.model import Document, JsonValue
from tests.neighbours.kafka import Cluster, cluster
from tests.running import Running, running
from tests.scenarios.neighbourhood import ADA, ADA_ID, ANGELO, ANGELO_ID

TOPIC = "push"
USERS: list[Document] = [ADA, ANGELO]
HOOKS = "/hooks/kafka2firebase"


@pytest.fixture
def brokers() -> Iterator[Cluster]:
    with cluster() as made:
        made.create(TOPIC)
        yield made


def environ(brokers: Cluster) -> dict[str, str]:
    return {"KAFKA_BROKERS": brokers.bootstrap, "KAFKA_TOPICS": TOPIC}


def configuration(**changes: JsonValue) -> Document:
    return {"activeChannels": ["push"], **changes}


async def deliveries(service: Running) -> dict[str, tuple[str, str, str]]:
    """Id, outcome and reason of each delivery of the newest dispatch, by user id."""
    listed = (await service.client.get("/dispatches")).json()["dispatches"]
    answer = await service.client.get(f"/dispatches/{listed[0]['id']}/deliveries")
    return {
        one["userId"]: (one["id"], one["outcome"], one["reason"])
        for one in answer.json()["deliveries"]
    }


async def test_each_user_gets_a_record_whose_message_is_the_delivery(
    tmp_path: Path, brokers: Cluster
) -> None:
    async with running(tmp_path, configuration(), users=USERS, environ=environ(brokers)) as service:
        answer = await service.send(channels=["push"], recipients=[ADA_ID, ANGELO_ID])
        assert (answer.status_code, answer.json()) == (200, {"failures": []})
        known = await deliveries(service)
        found = await trio.to_thread.run_sync(brokers.read, TOPIC, 2)
    by_key = {(one.key() or b"").decode(): json.loads(one.value() or b"") for one in found}
    assert by_key[ADA_ID] == {
        "device_tokens": ["token-ada"],
        "topics": [],
        "message_id": known[ADA_ID][0],
        "push_notification": {"title": "Title", "subtitle": "", "message": "Content"},
        "payload": None,
    }
    assert set(by_key) == {ADA_ID, ANGELO_ID}


async def test_hooks_turn_into_receipts(tmp_path: Path, brokers: Cluster) -> None:
    surroundings = environ(brokers)
    async with running(tmp_path, configuration(), users=USERS, environ=surroundings) as service:
        await service.send(channels=["push"], recipients=[ADA_ID, ANGELO_ID])
        before = await deliveries(service)
    async with running(tmp_path, configuration(), environ=surroundings) as service:
        for _ in range(2):  # as often as it likes, and after a restart
            for name, user in (("ok", ADA_ID), ("ko", ANGELO_ID)):
                body = {"message_id": before[user][0], "device_tokens": ["t"], "topics": []}
                answer = await service.client.post(f"{HOOKS}/{name}", json=body)
                assert (answer.status_code, answer.content) == (204, b"")
        after = await deliveries(service)
        counts = (await service.client.get("/dispatches")).json()["dispatches"][0]["counts"]
        metrics = (await service.client.get("/-/metrics")).text
    assert {user: rest for user, (_, *rest) in before.items()} == {
        ADA_ID: ["sent", "accepted"],
        ANGELO_ID: ["sent", "accepted"],
    }
    assert after[ADA_ID][1:] == ("sent", "confirmed")
    assert after[ANGELO_ID][1:] == ("failed", "rejected")
    assert (counts["sent"], counts["failed"]) == (1, 1)
    assert 'carillon_confirmations_total{verdict="ko"} 1.0' in metrics


async def test_hooks_of_others_are_told_so(tmp_path: Path, brokers: Cluster) -> None:
    async with running(tmp_path, configuration(), environ=environ(brokers)) as service:
        unknown = await service.client.post(f"{HOOKS}/ok", json={"message_id": "f" * 32})
        ids: list[JsonValue] = [5, "", "x" * 201]
        bodies: list[JsonValue] = [[], {}, *[{"message_id": one} for one in ids]]
        wrong = [await service.client.post(f"{HOOKS}/ko", json=body) for body in bodies]
    assert unknown.status_code == 404
    assert list(unknown.json()) == ["statusCode", "error", "message"]
    assert {one.status_code for one in wrong} == {400}


async def test_without_kafka_there_are_no_hooks(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        answer = await service.client.post(f"{HOOKS}/ok", json={"message_id": "x"})
    assert answer.status_code == 404


async def test_while_the_brokers_are_away_push_is_tried_again_and_fails_in_the_end(
    tmp_path: Path,
) -> None:
    section: Document = {
        "kafka2firebase": {"retry": {"attempts": 2, "firstDelay": "10ms", "maxDelay": "20ms"}}
    }
    surroundings = {"KAFKA_BROKERS": "127.0.0.1:1", "KAFKA_TOPICS": TOPIC}
    async with running(
        tmp_path, configuration(providers=section), users=USERS, environ=surroundings
    ) as service:
        answer = await service.send(channels=["push"], recipients=[ADA_ID])
        known = await deliveries(service)
    (failure,) = answer.json()["failures"]
    assert failure["error"].startswith("kafka2firebase: ")
    assert known[ADA_ID][1:] == ("failed", "exhausted")
