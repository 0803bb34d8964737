"""What is refused, with which status, always in the one error shape, and with nothing sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import httpx
import pytest
import trio

from carillon.messages.model import Document
from tests.running import Running, running, sandbox_configuration

MESSAGE = {"messageTitle": "T", "messageContent": "C"}
ADA: Document = {"_id": "ada", "emailAddress": "ada@example.com", "phoneNumber": "+391234567"}


def assert_error(answer: httpx.Response, status: int, phrase: str, *words: str) -> None:
    body = answer.json()
    assert answer.status_code == status, answer.text
    assert list(body) == ["statusCode", "error", "message"]
    assert (body["statusCode"], body["error"]) == (str(status), phrase)
    for word in words:
        assert word in body["message"], body["message"]


async def post_raw(
    service: Running, body: bytes, content_type: str = "application/json"
) -> httpx.Response:
    return await service.client.post("/send", content=body, headers={"Content-Type": content_type})


BAD_COMMANDS: Mapping[str, tuple[object, list[str]]] = {
    "no object": ([], ["object"]),
    "no channels": ({"recipients": [], **MESSAGE}, ["channels", "required"]),
    "empty channels": ({"channels": [], "recipients": [], **MESSAGE}, ["channels", "empty"]),
    "channels no array": ({"channels": "sms", "recipients": [], **MESSAGE}, ["channels", "array"]),
    "unknown channel": ({"channels": ["fax"], "recipients": [], **MESSAGE}, ["channels", "email"]),
    "nobody": ({"channels": ["sms"], **MESSAGE}, ["recipients", "clusters"]),
    "id no string": ({"channels": ["sms"], "recipients": [1], **MESSAGE}, ["recipients[0]"]),
    "no title": ({"channels": ["sms"], "recipients": [], "messageContent": "C"}, ["messageTitle"]),
    "no content": (
        {"channels": ["sms"], "recipients": [], "messageTitle": "T"},
        ["messageContent"],
    ),
    "data no object": (
        {"channels": ["sms"], "recipients": [], "data": [], **MESSAGE},
        ["data", "object"],
    ),
    "bad sender": (
        {"channels": ["email"], "recipients": [], "emailSender": "nobody", **MESSAGE},
        ["emailSender"],
    ),
    "syntax error": (
        {"channels": ["sms"], "recipients": [], "messageTitle": "T", "messageContent": "{{#if x}}"},
        ["line 1"],
    ),
}


@pytest.mark.parametrize("name", BAD_COMMANDS)
async def test_a_bad_command_names_field_and_rule(name: str, tmp_path: Path) -> None:
    body, words = BAD_COMMANDS[name]
    async with running(tmp_path, users=[ADA]) as service:
        assert_error(await service.client.post("/send", json=body), 400, "Bad request", *words)
        assert service.sent == []


HOSTILE = {
    "not json": b"{",
    "empty": b"",
    "nan": b'{"channels": NaN}',
    "infinity": b'{"channels": -Infinity}',
    "overflow": b'{"data": {"x": 1e999}}',
    "long overflow": b'{"data": {"x": ' + b"9" * 400 + b".0}}",
    "lone surrogate": b'{"data": {"x": "\\ud800"}}',
    "not utf-8": b'{"data": {"x": "\xff"}}',
    "too many digits": b'{"data": {"x": ' + b"1" * 4301 + b"}}",
    "too deep": b'{"data": ' + b"[" * 200 + b"]" * 200 + b"}",
    "very deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 201 + b"1" + b"}" * 201,
    "proto": b'{"data": {"a": [{"__proto__": {}}]}}',
    "escaped proto": b'{"data": {"a": [{"\\u005f_proto__": {}}]}}',
    "constructor": b'{"data": {"constructor": {"prototype": 1}}}',
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_json_is_refused_at_the_edge(name: str, tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        assert_error(await post_raw(service, HOSTILE[name]), 400, "Bad request")


async def test_what_is_only_unusual_is_let_in(tmp_path: Path) -> None:
    levels = b'{"channels": ["sms"], "recipients": [], "templateId": null, "unknown": 1,'
    levels += b'"messageTitle": "\\ud83d\\ude00", "messageContent": "", "data": {"constructor": 1,'
    levels += b'"x": ' + b"[" * 198 + b"]" * 198 + b', "n": ' + b"1" * 4300 + b"}}"
    async with running(tmp_path) as service:
        answer = await post_raw(service, levels, "application/json; charset=utf-8")
    assert (answer.status_code, answer.json()) == (200, {"failures": []})


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_another_media_type_is_415(media_type: str, tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        answer = await post_raw(service, b"{}", media_type)
        assert_error(answer, 415, "Unsupported media type", "application/json")
        assert (await service.client.get("/-/healthz")).status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_another_method_is_405_with_allow(method: str, tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        answer = await service.client.request(method, "/send")
    assert_error(answer, 405, "Method not allowed", method)
    assert answer.headers["Allow"] == "POST"


async def test_an_unknown_route_is_404(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        assert_error(await service.client.get("/nope"), 404, "Not found", "/nope")
        saga = await service.client.post("/saga/send", json={"key": "S", "value": {}})
        assert_error(saga, 404, "Not found")


async def test_a_doubled_slash_is_never_a_redirect(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        answer = await service.client.post(f"{service.url}//send")
        assert_error(answer, 415, "Unsupported media type")
        assert_error(await service.client.get(f"{service.url}/-//ready"), 404, "Not found")


async def in_parts(body: bytes) -> AsyncGenerator[bytes]:
    yield body


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_413(chunked: bool, tmp_path: Path) -> None:  # noqa: FBT001
    configuration = sandbox_configuration(limits={"bodyBytes": 1000})

    async with running(tmp_path, configuration) as service:
        headers = {"Content-Type": "application/json"}
        content = in_parts(b" " * 10_000) if chunked else b" " * 10_000
        answer = await service.client.post("/send", content=content, headers=headers)
        assert_error(answer, 413, "Payload too large", "Payload too large")
        assert (await service.send(recipients=[])).status_code == 200


async def test_an_inactive_channel_is_refused(tmp_path: Path) -> None:
    configuration = sandbox_configuration(activeChannels=["email", "sms"])
    async with running(tmp_path, configuration, users=[ADA]) as service:
        answer = await service.send(channels=["email", "voice"], recipients=["ada"])
        assert_error(answer, 400, "Bad request", "voice", "email, sms")
        assert service.sent == []


async def test_an_unknown_template_is_refused(tmp_path: Path) -> None:
    draft: Document = {"_id": "draft", "__STATE__": "DRAFT", "smsMessage": "x"}
    async with running(tmp_path, users=[ADA], templates=[draft]) as service:
        for name in ("nobody", "draft"):
            answer = await service.send(channels=["sms"], recipients=["ada"], templateId=name)
            assert_error(answer, 400, "Bad request", name, "PUBLIC")


async def test_a_template_with_a_syntax_error_is_refused(tmp_path: Path) -> None:
    bad: Document = {"_id": "bad", "smsMessage": "Hi {{#each}}", "voiceMessage": "fine"}
    async with running(tmp_path, users=[ADA], templates=[bad]) as service:
        sms = await service.send(channels=["sms"], recipients=["ada"], templateId="bad")
        assert_error(sms, 400, "Bad request", "smsMessage")
        voice = await service.send(channels=["voice"], recipients=["ada"], templateId="bad")
        assert voice.status_code == 200  # only the fields of the channels asked for are compiled


async def test_an_attachment_without_a_file_service_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, users=[ADA]) as service:
        answer = await service.send(recipients=["ada"], emailAttachments=["bill.pdf"])
        assert_error(answer, 400, "Bad request", "bill.pdf")
        sms = await service.send(
            channels=["sms"], recipients=["ada"], emailAttachments=["bill.pdf"]
        )
        assert sms.status_code == 200  # files are fetched only when email is asked for


async def test_as_many_dispatches_as_the_limit_allows(tmp_path: Path) -> None:
    configuration = sandbox_configuration(
        limits={"openDispatches": 1},
        providers={
            "email-sandbox": {"type": "sandbox", "options": {"latency": "300ms"}},
            **{f"{name}-sandbox": {"type": "sandbox"} for name in ("sms", "push", "voice")},
        },
    )
    async with running(tmp_path, configuration, users=[ADA]) as service:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: service.send(recipients=["ada"]))
            await service.until(lambda: service.events)
            answer = await service.send(recipients=["ada"])
            assert_error(answer, 503, "Service unavailable", "open")
            assert answer.headers["Retry-After"] == "1"
            assert "Dispatch-Id" not in answer.headers
        assert (await service.send(recipients=["ada"])).status_code == 200
