"""Vonage's adapter against the models of Vonage's own SDK: requests and answers."""

from __future__ import annotations

import json
from typing import Final, cast

import pytest

from carillon.http_client.ports import Response
from carillon.messages.model import Accepted, Document, JsonValue, Refused, Unanswered, Unavailable
from carillon.providers.vonage import Vonage, VonageOptions, read
from tests.neighbours.peers import ask, with_peers
from tests.providers.deliveries import ScriptedWire, sms
from tests.providers.test_vonage import CREDENTIALS, MEANINGS, answer, part

pytestmark = [pytest.mark.servers, with_peers]

SDK: Final = """
from vonage_http_client import Auth, HttpClient
from vonage_sms import PartialFailureError, Sms, SmsError, SmsMessage

client = HttpClient(Auth(api_key="abcd1234", api_secret="s3cret"))
sent = []

def post(host, path, form, auth_type, data_type):
    sent.append([host, path, {k: v for k, v in form.items() if v is not None}])
    return answers.pop(0)

client.post = post
answers = [given["answers"][0]] * len(given["forms"])
names = {"from": "from_", "client-ref": "client_ref", "status-report-req": "status_report_req"}
for form in given["forms"]:
    Sms(client).send(SmsMessage(**{names.get(name, name): value for name, value in form.items()}))
told = {"sent": sent, "auth": client.auth.create_basic_auth_string(), "ends": []}
for one in given["answers"]:
    answers = [one]
    try:
        Sms(client).send(SmsMessage(to="1", from_="2", text="3"))
        told["ends"].append("sent")
    except PartialFailureError:
        told["ends"].append("in part")
    except SmsError:
        told["ends"].append("not sent")
"""
ANSWERS: Final = [
    answer(part()),
    answer(part(), part()),
    *(answer(part(status, text)) for status, text in MEANINGS.items()),
    *(answer(part(), part(status, text)) for status, text in MEANINGS.items()),
]
ENDS: Final = {
    Accepted: "sent",
    Unanswered: "in part",
    Refused: "not sent",
    Unavailable: "not sent",
}


async def test_the_sdk_takes_what_is_sent_and_reads_answers_alike() -> None:
    plain = Vonage(CREDENTIALS, ScriptedWire([]))
    fields = {"ttl": "600000", "status-report-req": "true", "callback": "https://shop.example/r"}
    more = Vonage(CREDENTIALS, ScriptedWire([]), options=VonageOptions(fields=fields))
    forms = [plain.request(sms("Ciao €")), plain.request(sms("Ship 🚢")), more.request(sms())]
    given: Document = {"forms": [dict(form) for form in forms], "answers": [*ANSWERS]}
    told = cast("dict[str, JsonValue]", await ask(SDK, given))
    theirs = [
        _as_texts(cast("list[JsonValue]", one)) for one in cast("list[JsonValue]", told["sent"])
    ]
    assert theirs[: len(forms)] == [("rest.nexmo.com", "/sms/json", form) for form in forms]
    assert told["auth"] == "Basic YWJjZDEyMzQ6czNjcmV0"
    ours = [read(Response(200, {}, json.dumps(one).encode()), sms()) for one in ANSWERS]
    assert told["ends"] == [ENDS[type(one)] for one in ours]


def _as_texts(sent: list[JsonValue]) -> tuple[JsonValue, JsonValue, dict[str, str]]:
    host, path, form = sent
    assert isinstance(form, dict)
    texts = {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in form.items()
    }
    return host, path, texts
