"""The two worked examples of the contract: what goes in, and what every neighbour sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from carillon.messages.model import Document
from tests.scenarios.sagas.saga_desk import carried_out, refused, saga_desk, told

TEMPLATE_ID = "5df8aff66498d30011b19e4d"
ORDER: Document = {
    "key": "ORD-42",
    "value": {
        "messageLabel": "notifyBuyer",
        "messagePayload": {
            "buyer": {"fiscalCode": "RSSMRA80A01H501U"},
            "order": {"id": "42", "total": 12.5},
            "notifications": {"channels": ["email", "sms"], "templateId": TEMPLATE_ID},
        },
    },
}
BUYER: Document = {
    "_id": "5df8aff66498d30011b19e4a",
    "fiscalCode": "RSSMRA80A01H501U",
    "name": "Mario",
    "mail": "mario@example.com",
    "phoneNumber": "+393331234567",
}
NOTE: Document = {
    "_id": TEMPLATE_ID,
    "emailTitle": "Order {{data.value.messagePayload.order.id}}",
    "emailMessage": "{{user.name}}, saga {{data.key}}: {{data.value.messageLabel}}",
    "smsMessage": "{{user.name}}, order {{data.value.messagePayload.order.id}} left",
}
VISIT: Document = {
    "key": "S-7",
    "value": {
        "messageLabel": "visit-moved",
        "messagePayload": {
            "channels": "push",
            "amount": 7,
            "doctor": {"id": "d1"},
            "patients": [{"id": "p1"}, {"id": "p2"}],
            "ward": {"clusters": ["w1", "w2"]},
            "cc": ["a@x.it", "not-an-address"],
        },
    },
}
VISIT_PATHS: Document = {
    "channels": "channels",
    "recipients": ["doctor.id", "patients.0.id"],
    "clusters": ["ward.clusters"],
    "emailCarbonCopies": "cc",
}
FUNCTIONS = """
def get_template_id(event):
    return event["value"]["messageLabel"]


def get_data(event):
    payload = event["value"]["messagePayload"]
    return {**payload, "amount": f"{payload['amount']:.2f}"}
"""

GET_TEMPLATE_ID = "module.exports = e => e.value.messageLabel\n"
GET_DATA = """module.exports = e => ({
  ...e.value.messagePayload, amount: e.value.messagePayload.amount.toFixed(2)
})
"""


def in_python(folder: Path) -> Document:
    file = folder / "functions.py"
    file.write_text(FUNCTIONS)
    return {"getTemplateIdFilePath": str(file), "getDataFilePath": str(file)}


def in_javascript(folder: Path) -> Document:
    template_id, data = folder / "getTemplateId.js", folder / "getData.js"
    template_id.write_text(GET_TEMPLATE_ID)
    data.write_text(GET_DATA)
    return {"getTemplateIdFilePath": str(template_id), "getDataFilePath": str(data)}


async def test_example_a(tmp_path: Path) -> None:
    async with saga_desk(
        tmp_path,
        users=[BUYER],
        templates=[NOTE],
        userFields={"id": "fiscalCode", "emailAddress": "mail"},
        activeChannels=["email", "sms"],
        sender={"email": "shop@x.it", "sms": "Shop"},
        paths={
            "channels": "notifications.channels",
            "recipients": "buyer.fiscalCode",
            "templateId": "notifications.templateId",
        },
        flow={"successEventLabel": "notificationSent", "failEventLabel": "notificationFailed"},
    ) as at:
        answer = await at.post(ORDER)
        told_before_the_answer = told(at)
        sms, mail = at.around.body("sms"), at.around.body("mail")
        (event,) = at.server.requests
    carried_out(answer)
    assert told_before_the_answer == [("ORD-42", "notificationSent", {})]
    assert (event.method, event.path) == ("POST", "/event")
    assert event.json() == {
        "key": "ORD-42",
        "value": {"messageLabel": "notificationSent", "messagePayload": {}},
    }
    assert sms == {"sender": "Shop", "receiver": "+393331234567", "body": "Mario, order 42 left"}
    assert (mail["subject"], mail["message"]) == ("Order 42", "Mario, saga ORD-42: notifyBuyer")
    assert event.arrived > max(call.arrived for call in at.around.calls("sms"))


@pytest.mark.parametrize("functions", [in_python, in_javascript])
async def test_example_b(functions: Callable[[Path], Document], tmp_path: Path) -> None:
    async with saga_desk(
        tmp_path,
        paths=VISIT_PATHS,
        flow={
            "successEventLabel": "notificationSent",
            "failEventLabel": "notificationFailed",
            **functions(tmp_path),
        },
    ) as at:
        answer = await at.post(VISIT)
        told_before_the_answer = told(at)
        asked = [request.path for request in at.around.calls("crud")]
    refused(answer, 400, "emplate visit-moved")
    assert told_before_the_answer == [("S-7", "notificationFailed", {})]
    assert "/message_templates/visit-moved" in asked
    assert at.around.silent


@pytest.mark.parametrize("functions", [in_python, in_javascript])
async def test_example_b_with_its_template(
    functions: Callable[[Path], Document], tmp_path: Path
) -> None:
    people: list[Document] = [
        {"_id": name, "deviceToken": f"token-{name}", "clusters": cluster}
        for name, cluster in (("d1", ""), ("p1", ""), ("p2", ""), ("x", "w2"))
    ]
    template: Document = {
        "_id": "visit-moved",
        "pushTitle": "Visit",
        "pushMessage": "{{data.doctor.id}}: {{data.amount}}",
    }
    async with saga_desk(
        tmp_path,
        paths=VISIT_PATHS,
        users=people,
        templates=[template],
        string_ids=True,
        flow=functions(tmp_path),
    ) as at:
        carried_out(await at.post(VISIT))
        outcomes = at.around.outcomes()
        calls = [call for call in at.around.calls("push") if "messages:send" in call.path]
    assert sorted(outcomes) == [("d1", "push"), ("p1", "push"), ("x", "push")]
    assert len(calls) == 3
    assert all(b"d1: 7.00" in call.body for call in calls)
    assert told(at) == [("S-7", "done", {})]


async def test_example_b_on_a_channel_that_is_not_active(tmp_path: Path) -> None:
    async with saga_desk(
        tmp_path, paths={**VISIT_PATHS, "templateId": "channels"}, activeChannels=["sms"]
    ) as at:
        refused(await at.post(VISIT), 400, "push is not active")
    assert told(at) == [("S-7", "failed", {})]


async def test_a_command_without_a_key_is_refused_and_nobody_is_told(tmp_path: Path) -> None:
    async with saga_desk(tmp_path, paths=VISIT_PATHS) as at:
        refused(await at.post({"value": VISIT["value"]}), 400, "key must be")
        assert await at.events() == []
    assert told(at) == []
