from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from carillon.api.documentation import render
from carillon.api.openapi import child, openapi_document
from carillon.messages.commands import SendCommand, parse_send
from carillon.messages.errors import BadCommand
from carillon.messages.model import CHANNELS, Document, JsonValue, Reason
from carillon.messages.ports.outbox import EVENT_STATES
from tests.api.application import application
from tests.running import running, sandbox_configuration

UNNAMED = {
    "content-type",
    "content-length",
    "date",
    "connection",
    "cache-control",
    "content-security-policy",
    "x-content-type-options",
}
ADA: Document = {"_id": "ada", "emailAddress": "ada@example.com", "clusters": ["all"]}


def at(document: JsonValue, *steps: str) -> JsonValue:
    for step in steps:
        document = child(document)[step]
    return document


def routes(prefix: str) -> set[tuple[str, str]]:
    return {
        (re.sub("<[^>]*>", "{}", rule.rule).rstrip("/") or "/", method.lower())
        for rule in application(prefix).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


@pytest.mark.parametrize("prefix", ["", "/messaging/v2"])
def test_every_route_is_documented_and_no_other(prefix: str) -> None:
    document = openapi_document("1", prefix)
    documented = {
        (re.sub("{[^}]*}", "{}", path), method)
        for path, item in child(document["paths"]).items()
        for method in child(item)
    }
    assert documented == routes(prefix)


def test_the_document_is_valid_openapi() -> None:
    document = openapi_document("0.1.0", "")
    assert [*OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert (document["openapi"], at(document, "info", "version")) == ("3.1.0", "0.1.0")


def test_every_field_of_a_command_is_described_with_an_example() -> None:
    schema = child(at(openapi_document("1", ""), "components", "schemas", "SendCommand"))
    fields = child(schema["properties"])
    assert set(fields) == {field.alias or name for name, field in SendCommand.model_fields.items()}
    for name, field in fields.items():
        assert {"description", "examples", "type"} <= set(child(field)), name


def test_the_examples_are_commands_the_service_takes() -> None:
    content = child(
        at(openapi_document("1", ""), "paths", "/send", "post", "requestBody", "content")
    )
    for example in child(at(content, "application/json", "examples")).values():
        assert parse_send(child(example)["value"]).channels


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"channels": [], "recipients": [], "templateId": "t"},
        {"channels": ["fax"], "recipients": [], "templateId": "t"},
        {"channels": ["sms"], "templateId": "t"},
        {"channels": ["sms"], "clusters": ["a"], "messageTitle": "t"},
        {"channels": ["sms"], "clusters": "a", "templateId": "t"},
        {"channels": ["sms"], "clusters": ["a"], "templateId": "t", "data": []},
    ],
)
def test_what_the_schema_refuses_is_refused(body: Document) -> None:
    assert not validator("SendCommand").is_valid(body)
    with pytest.raises(BadCommand):
        parse_send(body)


@pytest.mark.parametrize(
    "body",
    [
        {"channels": ["sms"], "recipients": [], "templateId": "t", "unknown": 1},
        {"channels": ["sms", "sms"], "clusters": [], "messageTitle": "", "messageContent": ""},
    ],
)
def test_what_the_schema_takes_is_taken(body: Document) -> None:
    validator("SendCommand").validate(body)
    assert parse_send(body).channels == ["sms"]


def test_reasons_and_outcomes_are_those_of_the_code() -> None:
    schemas = child(at(openapi_document("1", ""), "components", "schemas"))
    assert at(schemas, "Reason", "enum") == [*get_args(Reason)]
    assert at(schemas, "EventState", "enum") == [*EVENT_STATES]
    assert at(schemas, "Channel", "enum") == ["email", "sms", "push", "voice"]


def validator(name: str) -> OAS31Validator:
    return pointed_at(openapi_document("1", ""), f"#/components/schemas/{name}")


def pointed_at(document: Document, pointer: str) -> OAS31Validator:
    registry: Registry[Document] = Registry().with_resource(
        "urn:api", DRAFT202012.create_resource(document)
    )
    return OAS31Validator({"$ref": f"urn:api{pointer}"}, registry=registry)


def target(document: Document, node: JsonValue) -> Document:
    reference = child(node).get("$ref")
    if not isinstance(reference, str):
        return child(node)
    return child(at(document, *reference.removeprefix("#/").split("/")))


def check(document: Document, path: str, answer: httpx.Response, method: str = "get") -> None:
    """The status is documented, the body fits its schema, and the headers are those named."""
    responses = at(document, "paths", path, method, "responses")
    described = target(document, at(responses, str(answer.status_code)))
    if "content" not in child(described):
        assert answer.content == b""
    else:
        media = answer.headers["Content-Type"].partition(";")[0]
        pointer = child(at(described, "content", media, "schema")).get("$ref")
        if isinstance(pointer, str):
            pointed_at(document, pointer).validate(answer.json())
    named = {name.lower() for name in child(described.get("headers"))}
    assert set(answer.headers) - UNNAMED <= named


async def test_real_answers_are_as_documented(tmp_path: Path) -> None:
    async with running(tmp_path, users=[ADA]) as service:
        document = child((await service.client.get("/documentation/json")).json())
        sent = await service.send(recipients=["ada", "nobody"])
        assert (sent.status_code, len(sent.json()["failures"])) == (200, 1)
        one = f"/dispatches/{sent.headers['Dispatch-Id']}"
        check(document, "/send", sent, "post")
        for path, asked, status in (
            ("/dispatches/{dispatchId}", one, 200),
            ("/dispatches/{dispatchId}", "/dispatches/none", 404),
            ("/dispatches/{dispatchId}/deliveries", f"{one}/deliveries?outcome=failed", 200),
            ("/dispatches/{dispatchId}/deliveries", f"{one}/deliveries?limit=0", 400),
            ("/-/healthz", "/-/healthz", 200),
            ("/-/ready", "/-/ready", 200),
            ("/-/check-up", "/-/check-up", 200),
            ("/-/metrics", "/-/metrics", 200),
            ("/", "/", 302),
            ("/documentation", "/documentation", 200),
            ("/documentation/json", "/documentation/json", 200),
        ):
            answer = await service.client.get(asked)
            assert answer.status_code == status, asked
            check(document, path, answer)


async def test_answers_to_sagas_are_as_documented(tmp_path: Path) -> None:
    flow: Document = {
        "serviceUrl": "http://127.0.0.1:9",
        "failEventLabel": "failed",
        "metadataSchema": {"channels": "c", "recipients": "r", "templateId": "t"},
        "respondWithin": "500ms",
        "repeatWindow": "1m",
    }
    configuration = sandbox_configuration(flowManagerConfiguration=flow)
    template: Document = {"_id": "t", "smsMessage": "text"}
    async with running(tmp_path, configuration, users=[ADA], templates=[template]) as service:
        document, client = openapi_document("1", ""), service.client
        payload: Document = {"c": "sms", "r": "ada", "t": "t"}
        whole: Document = {"key": "k", "value": {"messageLabel": "l", "messagePayload": payload}}
        validator("SagaCommand").validate(whole)
        for method in ("post", "put", "patch", "post"):
            answer = await client.request(method, "/saga/send", json=whole)
            assert answer.status_code == 200
            check(document, "/saga/send", answer, method)
        check(document, "/saga/send", await client.post("/saga/send", json={"key": "k"}), "post")
        listed = await client.get("/events?state=pending")
        check(document, "/events", listed)
        (event,) = listed.json()["events"]
        again = await client.post(f"/events/{event['id']}/redrive")
        check(document, "/events/{eventId}/redrive", again, "post")
        lost = await client.post("/events/none/redrive")
        check(document, "/events/{eventId}/redrive", lost, "post")
        check(document, "/events", await client.get("/events?state=lost"))


async def test_real_refusals_are_as_documented(tmp_path: Path) -> None:
    configuration = sandbox_configuration(limits={"bodyBytes": 200})
    async with running(tmp_path, configuration, users=[ADA]) as service:
        document = openapi_document("1", "")
        for answer, status in (
            (await service.send(channels=[]), 400),
            (await service.client.post("/nowhere", json={}), 404),
            (await service.client.put("/send", json={}), 405),
            (await service.send(recipients=["ada"] * 100), 413),
            (await service.client.post("/send", content=b"x"), 415),
        ):
            assert answer.status_code == status
            check(document, "/send", answer, "post")


async def test_more_failures_than_fit_are_announced_as_documented(tmp_path: Path) -> None:
    configuration = sandbox_configuration(limits={"failures": 1})
    async with running(tmp_path, configuration) as service:
        answer = await service.send(recipients=["nobody", "none"])
    assert answer.headers["Failures-Total"] == "2"
    check(openapi_document("1", ""), "/send", answer, "post")


async def test_a_caller_without_patience_is_answered_as_documented(tmp_path: Path) -> None:
    configuration = sandbox_configuration(limits={"openDispatches": 1}, drain="50ms")
    configuration["providers"] = {
        f"{name}-sandbox": {"type": "sandbox", "options": {"latency": "1m"}} for name in CHANNELS
    }
    async with running(tmp_path, configuration, users=[ADA]) as service:
        document = openapi_document("1", "")
        command = {
            "channels": ["email"],
            "recipients": ["ada", "nobody", "none"],
            "messageTitle": "T",
            "messageContent": "x",
        }
        hurried = {"Prefer": "wait=0"}
        early = await service.client.post("/send", json=command, headers=hurried)
        busy = await service.client.post("/send", json=command)
        assert (early.status_code, busy.status_code) == (202, 503)
        assert busy.headers["Retry-After"] == "1"
        check(document, "/send", early, "post")
        check(document, "/send", busy, "post")


@pytest.mark.parametrize("prefix", ["", "/messaging"])
async def test_whoever_comes_to_the_front_door_is_led_to_the_documentation(
    prefix: str, tmp_path: Path
) -> None:
    async with running(tmp_path, environ={"SERVICE_PREFIX": prefix}) as service:
        document = (await service.client.get("/documentation/json")).json()
        for place in ("/", prefix or "/", f"{prefix}/"):
            led = await service.client.get(place)
            assert (led.status_code, led.headers["Location"]) == (302, "/documentation/")
            check(document, place if place in document["paths"] else prefix, led)
            page = await service.client.get(place, follow_redirects=True)
            assert page.headers["Content-Type"].startswith("text/html")
        assert (await service.client.post("/", json={})).status_code == 405


async def test_a_prefix_moves_business_routes_only(tmp_path: Path) -> None:
    named: Document = {"_id": "import"}  # a GET of that path asks for it
    async with running(
        tmp_path, environ={"SERVICE_PREFIX": "/messaging"}, users=[named], templates=[named]
    ) as service:
        document = (await service.client.get("/documentation/json")).json()
        assert (await service.client.post("/messaging/send", json={})).status_code == 400
        for path in document["paths"]:
            if path in {"/", "/messaging"}:
                continue
            bare = path.replace("{", "").replace("}", "")
            is_moved = path.startswith("/messaging/")
            assert is_moved is not path.startswith(("/-/", "/documentation"))
            wrong = bare.removeprefix("/messaging") if is_moved else f"/messaging{bare}"
            assert (await service.client.get(wrong)).status_code == 404, wrong
            assert (await service.client.get(bare)).status_code != 404 or "{" in path, bare
    assert "/messaging/send" in document["paths"]
    assert {"/-/ready", "/documentation/json"} <= set(document["paths"])


class Links(HTMLParser):
    """What a page refers to, the ids it has, and whether its tags close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.targets += [value for name in ("href", "src") if (value := given.get(name))]
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = render(openapi_document("1", ""), "http://127.0.0.1:3000")
    links = Links(page)
    assert "script" not in links.tags
    assert len(links.ids) == len(set(links.ids))
    for link in links.targets:
        assert link in {"data:,", "/documentation/json"} or link[1:] in links.ids, link
    assert "@import" not in page
    assert "url(" not in page


def test_the_page_tells_of_every_operation_and_shape() -> None:
    document = openapi_document("1", "/messaging")
    page = render(document, "http://127.0.0.1:3000")
    for path in child(document["paths"]):
        assert path in page
    for name in child(at(document, "components", "schemas")):
        assert f'id="schema-{name}"' in page
    assert "curl http://127.0.0.1:3000/messaging/send" in page


async def test_a_hostile_host_cannot_write_into_the_page(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        headers = {"Host": "x<script>';id'"}
        answer = await service.client.get("/documentation/", headers=headers)
    assert "<script" not in answer.text
