"""A request that is repeated with its key meets the dispatch that the first one began."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trio

from carillon.access.keys import draw_key
from tests.running import Running, running, sandbox_configuration
from tests.scenarios.test_access import bearer, with_keys
from tests.scenarios.test_waiting import NAMES, USERS, slow

BODY = {
    "channels": ["email"],
    "recipients": [*NAMES, "nobody"],
    "messageTitle": "T",
    "messageContent": "C",
}


async def post(
    service: Running, key: str = '"k-1"', body: object = None, **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await service.client.post(
        "/send", json=BODY if body is None else body, headers={"Idempotency-Key": key, **named}
    )


async def test_a_repeat_is_answered_as_the_first_was_and_sends_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        first = await post(service)
        again = await post(service, "k-1")  # bare, as many callers write it
        reordered = await post(service, body=dict(reversed(BODY.items())))
        assert len(service.sent) == 30
    for answer in (again, reordered):
        assert (answer.status_code, answer.json()) == (first.status_code, first.json())
        assert answer.headers["Dispatch-Id"] == first.headers["Dispatch-Id"]
        assert answer.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert first.json()["failures"] == [
        {"userId": "nobody", "channel": "email", "error": "User not found"}
    ]


async def test_another_body_with_the_same_key_is_422(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        await post(service)
        other = await post(service, body={**BODY, "messageContent": "another"})
        assert (other.status_code, other.json()["error"]) == (422, "Unprocessable content")
        assert len(service.sent) == 30
        free = await post(service, "another-key", body={**BODY, "messageContent": "another"})
        assert free.status_code == 200
        assert len(service.sent) == 60


async def test_a_repeat_waits_for_the_one_that_runs(tmp_path: Path) -> None:
    async with running(tmp_path, slow("400ms"), users=USERS) as service:
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await post(service))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await service.until(lambda: service.events)
            nursery.start_soon(ask)
            early = await post(service, Prefer="respond-async")
        assert early.status_code == 202
        assert early.headers["Preference-Applied"] == "respond-async"
        assert int(early.headers["Deliveries-Pending"]) > 0
        assert len(service.sent) == 30
    first, second = answers
    assert first.json() == second.json()
    assert len({one.headers["Dispatch-Id"] for one in (*answers, early)}) == 1


async def test_two_at_once_are_one_dispatch(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await post(service))

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(ask)
        assert {one.status_code for one in answers} <= {200, 409}
        assert len({one.headers["Dispatch-Id"] for one in answers if one.is_success}) == 1
        assert len(service.sent) == 30


async def test_what_was_not_accepted_is_not_remembered(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        for body in ({"channels": ["email"]}, {**BODY, "templateId": "nobody-has-it"}):
            assert (await post(service, body=body)).status_code == 400
        assert (await post(service)).status_code == 200
        assert len(service.sent) == 30


async def test_a_key_is_forgotten_when_it_has_expired(tmp_path: Path) -> None:
    configuration = sandbox_configuration(idempotency={"expiry": "300ms"})
    async with running(tmp_path, configuration, users=USERS) as service:
        first = await post(service)
        await trio.sleep(0.35)
        second = await post(service)
        assert first.headers["Dispatch-Id"] != second.headers["Dispatch-Id"]
        third = await post(service)
        assert third.headers["Dispatch-Id"] == second.headers["Dispatch-Id"]
        assert len(service.sent) == 60


async def test_keys_are_each_caller_s_own(tmp_path: Path) -> None:
    shop, shop_key = draw_key("shop", ["send"])
    desk, desk_key = draw_key("desk", ["send"])
    environ = with_keys(shop_key, desk_key)
    async with running(tmp_path, users=USERS, environ=environ) as service:
        ids = [
            (await post(service, **bearer(token))).headers["Dispatch-Id"]
            for token in (shop, desk, shop)
        ]
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize("key", ["", '""', '"', '"a', "a b", "x" * 256, '"a\\b"', "a,b c"])
async def test_what_is_no_key_is_refused(key: str, tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        answer = await post(service, key)
        assert (answer.status_code, answer.json()["statusCode"]) == (400, "400")
        assert "Idempotency-Key" in answer.json()["message"]
        assert service.sent == []


async def test_two_keys_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
        answer = await service.client.post("/send", json=BODY, headers=headers)
        assert answer.status_code == 400


async def test_a_repeat_meets_its_dispatch_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        first = await post(service)
    async with running(tmp_path, users=USERS) as service:
        again = await post(service)
        assert service.sent == []
    assert again.headers["Dispatch-Id"] == first.headers["Dispatch-Id"]
    assert again.json() == first.json()


async def test_a_long_list_of_failures_is_bounded_in_a_repeat_too(tmp_path: Path) -> None:
    configuration = sandbox_configuration(limits={"failures": 2})
    body = {**BODY, "recipients": ["n1", "n2", "n3"]}
    async with running(tmp_path, configuration) as service:
        first = await post(service, body=body)
        again = await post(service, body=body)
    for answer in (first, again):
        assert len(answer.json()["failures"]) == 2
        assert answer.headers["Failures-Total"] == "3"
        assert "rel=" in answer.headers["Link"]
