"""Every rule of commands and events over HTTP, with a Flow Manager that enforces its schema."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from time import process_time

import pytest
import trio
from pydantic_core import to_json

from carillon.messages.model import Document, JsonValue
from tests.neighbours.flow_manager import FlowManager
from tests.neighbours.http import Answer, Request
from tests.neighbours.sms_service import SmsService
from tests.running import running, sandbox_configuration
from tests.scenarios.neighbourhood import ADA_ID, ANGELO, ANGELO_ID
from tests.scenarios.sagas.saga_desk import TEXT, carried_out, refused, saga_desk, told
from tests.scenarios.test_access import READ, READ_KEY, SEND, SEND_KEY, bearer, with_keys

SMS: Document = {"channels": "sms", "recipients": ADA_ID, **TEXT}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_every_method_of_a_flow_manager_is_taken(method: str, tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        answer = await at.command("S-1", SMS, method=method)
    carried_out(answer)
    assert "Dispatch-Id" in answer.headers
    assert told(at) == [("S-1", "done", {})]
    assert [one.idempotency_key for one in at.flow_manager.events] == [
        f'"{answer.headers["Dispatch-Id"]}"'
    ]


async def test_without_a_configuration_there_is_no_such_route(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        answer = await service.client.post("/saga/send", json={})
        refused(answer, 404, "needs flowManagerConfiguration")
        assert (await service.client.get("/events")).json() == {"events": [], "next": None}
        refused(await service.client.post("/events/x/redrive"), 409, "serviceUrl")
        refused(await service.client.get("/saga/send"), 405)


async def test_partial_failures_are_a_success(tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        carried_out(await at.command("S-1", {**SMS, "recipients": [ADA_ID, "nobody"]}))
    assert told(at) == [("S-1", "done", {})]


@pytest.mark.parametrize(
    ("policy", "recipients", "label"),
    [
        ("all", [ADA_ID, ANGELO_ID], "done"),
        ("all", [ADA_ID, "nobody"], "failed"),
        ("any", [ADA_ID, "nobody"], "done"),
        ("any", ["nobody"], "failed"),
        (0.5, [ADA_ID, "nobody"], "done"),
        (0.6, [ADA_ID, "nobody"], "failed"),
    ],
)
async def test_a_policy_decides_what_the_saga_is_told_and_not_the_answer(
    policy: JsonValue, recipients: list[JsonValue], label: str, tmp_path: Path
) -> None:
    async with saga_desk(tmp_path, users=[ANGELO, ADA_USER], flow={"successPolicy": policy}) as at:
        carried_out(await at.command("S-1", {**SMS, "recipients": recipients}))
    assert told(at) == [("S-1", label, {})]


ADA_USER: Document = {"_id": ADA_ID, "phoneNumber": "+393331234567"}


async def test_a_summary_says_what_happened_under_one_key(tmp_path: Path) -> None:
    async with saga_desk(tmp_path, flow={"eventPayload": "summary"}) as at:
        answer = await at.command("S-1", {**SMS, "recipients": [ADA_ID, "nobody"]})
        refused(await at.command("S-2", {}), 400)
    failure = {"userId": "nobody", "channel": "sms", "error": "User not found"}
    (_, _, sent), (_, _, not_sent) = told(at)
    assert sent == {
        "carillon": {
            "dispatchId": answer.headers["Dispatch-Id"],
            "counts": {"sent": 1, "failed": 1},
            "failures": [failure],
            "failuresTotal": 1,
        }
    }
    assert "'statusCode': '400'" in str(not_sent)


async def test_a_command_that_is_refused_is_told_before_it_is_answered(tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        refused(await at.command("S-1", {**SMS, "channels": None}), 400, "channels is required")
        assert told(at) == [("S-1", "failed", {})]
        refused(await at.post({"key": "S-2"}), 400, "value must be an object")
        assert told(at)[1:] == [("S-2", "failed", {})]
    assert at.around.silent


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b'{"key": "S-1", ', "application/json", 400),
        (b'{"key": "S-1", "value": {"__proto__": 1}}', "application/json", 400),
        (b'{"key": "S-1"}', "text/plain", 415),
        (b'{"key": "S-1", "value": "' + b"x" * 5000 + b'"}', "application/json", 413),
        (b'{"key": "S-1", "value": ' + b"[" * 300 + b"]" * 300 + b"}", "application/json", 400),
    ],
)
async def test_a_body_that_is_refused_at_the_edge_tells_nobody(
    content: bytes, media_type: str, status: int, tmp_path: Path
) -> None:
    async with saga_desk(tmp_path, limits={"bodyBytes": 4000}) as at:
        client = at.around.service.client
        headers = {"Content-Type": media_type}
        refused(await client.post("/saga/send", content=content, headers=headers), status)
        assert await at.events() == []


async def test_503_is_told_too(tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        at.around.crud.is_down = lambda: True
        answer = await at.command("S-1", SMS)
        refused(answer, 503)
        assert answer.headers["Retry-After"] == "5"
        assert told(at) == [("S-1", "failed", {})]


@pytest.mark.parametrize("label", ["successEventLabel", "failEventLabel", "serviceUrl"])
async def test_what_is_not_configured_is_not_told(label: str, tmp_path: Path) -> None:
    async with saga_desk(tmp_path, flow={label: None}) as at:
        carried_out(await at.command("S-1", SMS))
        refused(await at.command("S-2", {}), 400)
    labels = [one.label for one in at.flow_manager.events]
    assert labels == {"successEventLabel": ["failed"], "failEventLabel": ["done"]}.get(label, [])


DEEP: JsonValue = "leaf"
for _ in range(95):
    DEEP = {"channels": [DEEP]}
BAD_AT_EVERY_PATH: list[Document] = [
    {**SMS, name: [{"": [[]]}]} for name in ("channels", "recipients", "clusters")
]
BAD_AT_EVERY_PATH += [
    {**SMS, "template": None, name: [{"": [[]]}]} for name in ("title", "content", "template")
]


@pytest.mark.parametrize(
    "payload",
    [
        DEEP,
        {"channels": [1] * 50_000},
        {"channels": "sms", "recipients": [{}] * 50_000},
        {"channels": "sms", "recipients": [None] * 50_000 + [5]},
        {"channels": "x" * 1_000_000},
        {"constructor": {"name": "x"}, "channels": {"length": 1}},
        None,
        [],
        "sms",
        5,
        *BAD_AT_EVERY_PATH,
    ],
    ids=lambda payload: str(payload)[:40],
)
async def test_a_hostile_command_is_refused_quickly(payload: JsonValue, tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        carried_out(await at.command("warm", SMS))
        content = to_json({"key": "S-1", "value": {"messageLabel": "l", "messagePayload": payload}})
        headers = {"Content-Type": "application/json"}
        client = at.around.service.client
        taken: list[float] = []  # of computing, the service's included
        for _ in range(3):
            started = process_time()
            answer = await client.post("/saga/send", content=content, headers=headers)
            taken.append(process_time() - started)
            refused(answer, 400)
        assert min(taken) < 0.3
        assert at.flow_manager.labels("S-1") == ["failed"] * 3
        assert len(at.around.calls("sms")) == 1


@pytest.mark.parametrize("key", [None, 5, "", ["S-1"], {"a": 1}, "x" * 5000])
async def test_without_a_key_nobody_is_told(key: JsonValue, tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        value: Document = {"messageLabel": "tell", "messagePayload": SMS}
        refused(await at.post({"key": key, "value": value}), 400, "key must be a string")
        assert await at.events() == []
    assert at.around.silent


FAILING = "def get_data(event):\n    return event['missing']\n"
HANGING = "def get_data(event):\n    while True:\n        pass\n"
WRONG = "def get_data(event):\n    return [event]\n"


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (FAILING, 400, "getData failed on this command: KeyError (data.py, line 2)"),
        (HANGING, 500, "getData took too long"),
        (WRONG, 500, "getData must return an object"),
    ],
)
async def test_a_function_that_fails_is_told_and_answered(
    text: str, status: int, words: str, tmp_path: Path
) -> None:
    function = tmp_path / "data.py"
    function.write_text(text)
    async with saga_desk(tmp_path, flow={"getDataFilePath": str(function)}) as at:
        with trio.fail_after(5):
            refused(await at.command("S-1", SMS), status, words)
        assert told(at) == [("S-1", "failed", {})]
    assert at.around.silent


async def test_patience_with_slow_sends_ends_and_the_event_follows(tmp_path: Path) -> None:
    sms = SmsService(Answer(200, delay=1.5))
    async with saga_desk(
        tmp_path,
        flow={"respondWithin": "500ms"},
    ) as at:
        at.around.sms.answers.extend(sms.answers)
        answer = await at.command("S-1", SMS)
        carried_out(answer)
        assert answer.headers["Deliveries-Pending"] == "1"
        assert told(at) == []
        await at.until_told()
    assert told(at) == [("S-1", "done", {})]


async def test_patience_with_a_slow_flow_manager_ends_and_nothing_is_pending(
    tmp_path: Path,
) -> None:
    async with saga_desk(
        tmp_path, flow={"respondWithin": "500ms"}, flow_manager=FlowManager(delay=1.5)
    ) as at:
        answer = await at.command("S-1", SMS)
        carried_out(answer)
        assert "Deliveries-Pending" not in answer.headers
        (event,) = await at.events("pending")
        assert event["dispatchId"] == answer.headers["Dispatch-Id"]
        await at.around.service.until(lambda: "saga event" in at.around.service.log.getvalue())
        assert await at.events("pending") == []


async def test_patience_with_a_slow_directory_ends_and_the_refusal_is_told(
    tmp_path: Path,
) -> None:
    async with saga_desk(tmp_path, flow={"respondWithin": "50ms"}) as at:

        async def slowly(request: Request) -> Answer:
            await trio.sleep(0.3)
            return await at.around.crud.answer(request)

        at.around.servers["crud"].handler = slowly
        answer = await at.command("S-1", {**SMS, "template": "unknown"})
        carried_out(answer)
        assert "Dispatch-Id" not in answer.headers
        await at.until_told()
    assert told(at) == [("S-1", "failed", {})]


async def test_what_the_flow_manager_refuses_is_parked_and_can_be_driven_again(
    tmp_path: Path,
) -> None:
    async with saga_desk(tmp_path, flow_manager=FlowManager(refusing={"done"})) as at:
        answer = await at.command("S-1", SMS)
        carried_out(answer)
        (event,) = await at.events("parked")
        assert event["error"] == "The Flow Manager answered 400: unexpected event done"
        assert (event["key"], event["attempts"]) == ("S-1", 1)
        at.flow_manager.refusing = ()
        client = at.around.service.client
        again = await client.post(f"/events/{event['id']}/redrive")
        assert (again.status_code, again.json()["state"]) == (202, "pending")
        await at.until_told()
        await at.around.service.until(
            lambda: "accepted" in at.around.service.log.getvalue().rpartition("saga event")[2]
        )
        assert await at.events("parked") == []
        refused(await client.post(f"/events/{event['id']}/redrive"), 409, "accepted")
        refused(await client.post("/events/nothing/redrive"), 404)
        refused(await client.get("/events?state=lost"), 400, "state must be one of")
    assert told(at) == [("S-1", "done", {})]


async def test_an_event_is_tried_until_it_is_accepted(tmp_path: Path) -> None:
    answers = deque([Answer(500), Answer(429), Answer(fault="reset")])
    async with saga_desk(tmp_path, flow_manager=FlowManager(answers)) as at:
        carried_out(await at.command("S-1", SMS))
        assert told(at) == [("S-1", "done", {})]
        (event,) = await at.events("accepted")
        assert event["attempts"] == 4
        assert len(at.around.calls("sms")) == 1
        names = {call.headers["idempotency-key"] for call in at.server.requests}
    assert len(names) == 1


async def test_events_of_one_saga_arrive_in_order_though_the_first_is_delayed(
    tmp_path: Path,
) -> None:
    async with saga_desk(
        tmp_path, flow={"respondWithin": "500ms"}, flow_manager=FlowManager(is_down=True)
    ) as at:
        carried_out(await at.command("S-1", SMS))
        refused(await at.command("S-1", {}), 400)
        at.flow_manager.is_down = False
        await at.until_told(2)
    assert [label for _, label, _ in told(at)] == ["done", "failed"]


async def test_a_command_goes_on_when_its_caller_hangs_up(tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        at.around.sms.answers.append(Answer(200, delay=0.3))
        with trio.move_on_after(0.1):
            await at.command("S-1", SMS)
        await at.until_told()
    assert told(at) == [("S-1", "done", {})]


async def test_logs_name_events_and_neither_sagas_nor_users(tmp_path: Path) -> None:
    async with saga_desk(tmp_path, flow={"eventPayload": "summary"}) as at:
        carried_out(await at.command("SAGA-4711", {**SMS, "recipients": [ADA_ID, "nobody"]}))
        refused(await at.command("SAGA-4712", {}), 400)
        text = at.around.service.log.getvalue()
        lines = [one for one in at.around.service.log_lines if one["msg"] == "saga event"]
        metrics = (await at.around.service.client.get("/-/metrics")).text
    assert [(line["result"], line["attempts"]) for line in lines] == [("accepted", 1)] * 2
    assert 'carillon_saga_events_total{result="accepted"} 2.0' in metrics
    for hidden in ("SAGA-4711", ADA_ID, "nobody", "Content"):
        assert hidden not in text
    # But for one that was refused, which nobody could find otherwise.
    (naming,) = [one for one in text.splitlines() if "SAGA-4712" in one]
    assert json.loads(naming)["msg"] == "saga command refused"


async def test_commands_need_a_key_that_may_send_and_events_one_that_may_read(
    tmp_path: Path,
) -> None:
    flow: Document = {"metadataSchema": {"channels": "channels"}}
    configuration = sandbox_configuration(flowManagerConfiguration=flow)
    async with running(tmp_path, configuration, environ=with_keys(SEND_KEY, READ_KEY)) as service:
        client = service.client
        for method, path, token, status in (
            ("POST", "/saga/send", None, 401),
            ("POST", "/saga/send", READ, 403),
            ("PATCH", "/saga/send", SEND, 400),
            ("GET", "/events", SEND, 403),
            ("GET", "/events", READ, 200),
            ("POST", "/events/x/redrive", READ, 403),
        ):
            headers = {} if token is None else bearer(token)
            answer = await client.request(method, path, json={}, headers=headers)
            assert answer.status_code == status, (method, path)


async def test_without_keys_events_are_for_this_machine(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        forwarded = {"X-Forwarded-For": "192.0.2.7"}
        for method, path in (("GET", "/events"), ("POST", "/events/x/redrive")):
            answer = await service.client.request(method, path, headers=forwarded)
            assert answer.status_code == 403
