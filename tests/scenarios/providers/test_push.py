"""What Firebase is sent and how its answers are taken (contracts 2.3)."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import trio

from carillon.messages.events import DeliveryEnded
from carillon.messages.model import Document, JsonValue
from tests.neighbours.fcm import Fcm, fcm_error
from tests.neighbours.http import Answer, json_answer
from tests.scenarios.neighbourhood import (
    ADA,
    ADA_ID,
    ANGELO,
    ANGELO_ID,
    Neighbourhood,
    accepted,
    failure,
    neighbourhood,
    numbered,
)

TEMPLATE_ID = numbered(77)
SEND = "/v1/projects/shop/messages:send"


def template(**fields: JsonValue) -> Document:
    return {"_id": TEMPLATE_ID, **fields}


def delivery_id(at: Neighbourhood) -> str:
    """The id of the only delivery."""
    (ended,) = [event for event in at.service.events if isinstance(event, DeliveryEnded)]
    return ended.receipt.delivery_id


async def test_a_title_and_a_message_are_one_notification(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        accepted(await at.send("push", recipients=[ADA_ID], messageTitle="Perché"))
    token, call = at.calls("push")
    assert (token.path, call.method, call.target) == ("/token", "POST", SEND)
    assert call.headers["content-type"] == "application/json"
    assert call.headers["authorization"] == "Bearer ya29.token-1"
    assert call.json() == {
        "message": {
            "token": "token-ada",
            "notification": {"title": "Perché", "body": "Content"},
            "android": {"notification": {"tag": delivery_id(at)}},
            "apns": {"headers": {"apns-collapse-id": delivery_id(at)}},
        }
    }


async def test_a_subtitle_is_for_apple_and_the_intent_for_android(tmp_path: Path) -> None:
    stored = template(pushTitle="T {{user.name}}", pushSubtitle="S", pushMessage="M")
    async with neighbourhood(tmp_path, templates=[stored], androidIntentAction="OPEN_SHOP") as at:
        accepted(await at.send("push", recipients=[ADA_ID], templateId=TEMPLATE_ID))
    alert: Document = {"title": "T Ada", "subtitle": "S", "body": "M"}
    assert at.push.messages == [
        {
            "token": "token-ada",
            "notification": {"title": "T Ada", "body": "M"},
            "android": {"notification": {"tag": delivery_id(at), "click_action": "OPEN_SHOP"}},
            "apns": {
                "headers": {"apns-collapse-id": delivery_id(at)},
                "payload": {"aps": {"alert": alert}},
            },
        }
    ]


async def test_push_data_is_merged_into_the_message(tmp_path: Path) -> None:
    data = (
        '{"android": {"priority": "normal", "ttl": "60s", "data": {"order": "{{data.order}}"},'
        ' "notification": {"channel_id": "orders"}},'
        ' "apns": {"headers": {"apns-priority": 5}, "payload": {"aps": {"badge": 3}}}}'
    )
    stored = template(pushTitle="T", pushMessage="M", pushData=data)
    async with neighbourhood(tmp_path, templates=[stored], androidIntentAction="OPEN") as at:
        body: Document = {"templateId": TEMPLATE_ID, "data": {"order": 42}}
        accepted(await at.send("push", recipients=[ADA_ID], **body))
    tag = delivery_id(at)
    assert at.push.messages == [
        {
            "token": "token-ada",
            "notification": {"title": "T", "body": "M"},
            "android": {
                "priority": "normal",
                "ttl": "60s",
                "data": {"order": "42"},
                "notification": {"tag": tag, "click_action": "OPEN", "channel_id": "orders"},
            },
            "apns": {
                "headers": {"apns-collapse-id": tag, "apns-priority": "5"},
                "payload": {"aps": {"badge": 3}},
            },
        }
    ]


async def test_push_data_alone_is_enough_and_carries_no_collapse_key(tmp_path: Path) -> None:
    stored = template(pushData='{"android": {"data": {"a": 1}}}')
    async with neighbourhood(tmp_path, templates=[stored]) as at:
        accepted(await at.send("push", recipients=[ADA_ID], templateId=TEMPLATE_ID))
    assert at.push.messages == [
        {
            "token": "token-ada",
            "android": {"data": {"a": "1"}},
            "apns": {"headers": {"apns-collapse-id": delivery_id(at)}},
        }
    ]
    assert b"collapse_key" not in at.calls("push")[-1].body


async def test_push_data_that_is_no_json_for_one_user_fails_for_that_one(tmp_path: Path) -> None:
    users: list[Document] = [{**ADA, "name": 'A "quoted" name'}, ANGELO]
    stored = template(
        pushTitle="T", pushMessage="M", pushData='{"android": {"data": {"n": "{{{user.name}}}"}}}'
    )
    async with neighbourhood(tmp_path, users=users, templates=[stored]) as at:
        answer = await at.send("push", clusters=["staff"], templateId=TEMPLATE_ID)
    accepted(answer, failure(ADA_ID, "push", "pushData is not JSON once it is rendered"))
    (message,) = at.push.messages
    assert message["token"] == "token-angelo"
    assert at.calls("push")[-1].body.count(b"D'Angelo & <b>") == 1
    assert at.outcomes()[ADA_ID, "push"] == ("failed", "not-renderable")


NO_OBJECT: dict[str, str] = {
    "[]": "pushData must be a JSON object once it is rendered",
    '"android"': "pushData must be a JSON object once it is rendered",
    '{"android": []}': "android in pushData must be a JSON object once it is rendered",
    '{"apns": "x"}': "apns in pushData must be a JSON object once it is rendered",
    '{"android": NaN}': "pushData is not JSON once it is rendered",
    "{{user.nothing}}": "pushData is not JSON once it is rendered",
}


async def test_push_data_of_another_shape_is_not_renderable(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        for number, (data, error) in enumerate(NO_OBJECT.items()):
            at.crud.templates.add({"_id": f"t{number}", "pushData": data})
            answer = await at.send("push", recipients=[ADA_ID], templateId=f"t{number}")
            accepted(answer, failure(ADA_ID, "push", error))
        assert at.silent


async def test_many_workers_share_one_token(tmp_path: Path) -> None:
    users: list[Document] = [
        {"_id": numbered(number), "deviceToken": f"token-{number}", "clusters": ["all"]}
        for number in range(60)
    ]
    async with neighbourhood(tmp_path, users=users) as at:
        accepted(await at.send("push", clusters=["all"]))
        accepted(await at.send("push", clusters=["all"]))
    sent = sorted(str(message["token"]) for message in at.push.messages)
    assert sent == sorted([f"token-{number}" for number in range(60)] * 2)
    assert at.push.tokens == 1
    tags = [str(message["apns"]) for message in at.push.messages]
    assert len(set(tags)) == 120


async def test_a_refused_token_is_renewed_once(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        accepted(await at.send("push", recipients=[ADA_ID]))
        at.push.revoke()
        accepted(await at.send("push", recipients=[ADA_ID]))
        paths = [call.path for call in at.calls("push")]
    assert paths == ["/token", SEND, SEND, "/token", SEND]
    assert len(at.push.messages) == 2
    assert at.attempts() == [1, 2]


async def test_a_new_token_that_is_refused_too_is_an_error_of_the_account(tmp_path: Path) -> None:
    push = Fcm(*[fcm_error(401, "UNAUTHENTICATED")] * 5)
    async with neighbourhood(
        tmp_path, push=push, providers={"firebase": {"retry": {"attempts": 5, "firstDelay": "1ms"}}}
    ) as at:
        answer = await at.send("push", recipients=[ADA_ID])
        (entry,) = answer.json()["failures"]
        accepted(answer, failure(ADA_ID, "push", entry["error"]))
        assert "rights of the service account" in entry["error"]
        assert at.push.tokens == 2
    assert at.outcomes() == {(ADA_ID, "push"): ("failed", "rejected")}


PERMANENT: list[tuple[Answer, str]] = [
    (fcm_error(404, "NOT_FOUND", "UNREGISTERED"), "no longer registered"),
    (fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), "about INVALID_ARGUMENT"),
    (fcm_error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), "another Firebase project"),
    (fcm_error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), "Apple's"),
]


async def test_permanent_errors_are_not_repeated(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        for answer, words in PERMANENT:
            before = len(at.calls("push"))
            at.push.answers.append(answer)
            told = await at.send("push", recipients=[ADA_ID])
            (entry,) = told.json()["failures"]
            accepted(told, failure(ADA_ID, "push", entry["error"]))
            assert words in entry["error"]
            assert at.outcomes()[ADA_ID, "push"] == ("failed", "rejected")
            sends = [call for call in at.calls("push")[before:] if call.path == SEND]
            assert len(sends) == 1
        assert at.push.tokens == 1


async def test_one_dead_token_is_one_failure(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=[ADA, ANGELO]) as at:
        at.push.unregistered.add("token-ada")
        answer = await at.send("push", "sms", clusters=["staff"])
    error = "firebase: the device token is no longer registered: remove it from the user"
    accepted(answer, failure(ADA_ID, "push", f"{error} (UNREGISTERED)"))
    assert [message["token"] for message in at.push.messages] == ["token-angelo"]
    assert at.outcomes()[ANGELO_ID, "push"] == ("sent", "accepted")
    assert len(at.sms.messages) == 2


TRANSIENT = [
    fcm_error(503, "UNAVAILABLE", "UNAVAILABLE"),
    fcm_error(500, "INTERNAL", "INTERNAL"),
    json_answer({"error": {"status": "INTERNAL"}}, 500),
    Answer(502, b"<html>bad gateway"),
    Answer(504),
    Answer(fault="disconnect"),
    Answer(fault="hang"),
]


async def test_what_may_pass_and_what_is_unknown_is_repeated_with_the_same_tag(
    tmp_path: Path,
) -> None:
    async with neighbourhood(tmp_path, providers={"firebase": {"timeout": "200ms"}}) as at:
        await at.send("push", recipients=[ADA_ID])
        for answer in TRANSIENT:
            at.push.answers.append(answer)
            accepted(await at.send("push", recipients=[ADA_ID]))
            first, second = at.calls("push")[-2:]
            assert first.json() == second.json()
            assert at.attempts()[-1] == 2
    assert len(at.push.messages) == 1 + len(TRANSIENT)


async def test_over_quota_waits_as_long_as_it_is_told(tmp_path: Path) -> None:
    push = Fcm(fcm_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", Retry_After="0.3"))
    async with neighbourhood(
        tmp_path, users=[ADA, ANGELO], push=push, providers={"firebase": {"concurrency": 1}}
    ) as at:
        accepted(await at.send("push", clusters=["staff"]))
    refusal, *later = [call for call in at.calls("push") if call.path == SEND]
    assert refusal.answered is not None
    assert len(later) == 2
    assert min(call.arrived for call in later) >= refusal.answered + 0.28


async def test_over_quota_without_a_time_waits_longer_than_the_caller(tmp_path: Path) -> None:
    push = Fcm(fcm_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"))
    async with neighbourhood(tmp_path, push=push, respondWithin="200ms", drain="10ms") as at:
        answer = await at.send("push", recipients=[ADA_ID])
        assert (answer.status_code, answer.json()) == (200, {"failures": []})
        assert answer.headers["Deliveries-Pending"] == "1"
        assert answer.headers["Location"] == f"/dispatches/{answer.headers['Dispatch-Id']}"
        with trio.fail_after(5):  # a busy machine may take longer to sign than the caller waits
            while len(at.calls("push")) < 2:
                await trio.sleep(0.01)
        assert [call.path for call in at.calls("push")] == ["/token", SEND]
    assert at.outcomes() == {}  # it goes on at the next start


@pytest.mark.parametrize("answer", [Answer(503), json_answer({"error": "invalid_grant"}, 400)])
async def test_without_a_token_pushes_fail_and_nothing_else_does(
    answer: Answer, tmp_path: Path
) -> None:
    async with neighbourhood(tmp_path) as at:
        at.push.token_answers.extend([answer] * 2)
        told = await at.send("push", "sms", recipients=[ADA_ID])
        (entry,) = told.json()["failures"]
        accepted(told, failure(ADA_ID, "push", entry["error"]))
        assert entry["error"].startswith("firebase: ")
        assert "private-key" not in json.dumps(told.json()).lower()
        assert len(at.sms.messages) == 1
        at.push.token_answers.clear()
        accepted(await at.send("push", recipients=[ADA_ID]))


async def test_dispatches_side_by_side_fetch_one_token(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(partial(at.send, "push", recipients=[ADA_ID]))
        assert len(at.push.messages) == 5
        assert at.push.tokens == 1
