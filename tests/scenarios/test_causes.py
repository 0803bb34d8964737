"""Five faults, each explained to an operator by one line of the log, and no line says too much."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path

import httpx
import pytest
import trio

from carillon.messages.model import Document, JsonValue
from tests.neighbours.http import Answer, serve
from tests.process import heard_process
from tests.running import Running, running, sandbox_configuration
from tests.scenarios.sagas.saga_desk import saga_desk

ADA: Document = {"_id": "ada", "phoneNumber": "+393331234567", "emailAddress": "ada@example.com"}
SECRET = "Zanzibar"
TRIES: Document = {"retry": {"attempts": 2, "firstDelay": "10ms", "maxDelay": "20ms"}}


def configuration(url: str, **section: JsonValue) -> Document:
    return {
        "activeChannels": ["sms"],
        "sender": {"sms": "Shop"},
        "providers": {"sms-service": {"url": url, **TRIES, **section}},
    }


def line(service: Running, message: str, **fields: object) -> dict[str, object]:
    """The first line with this message and these fields."""
    for one in service.log_lines:
        if one["msg"] == message and fields.items() <= one.items():
            return one
    raise AssertionError(f"no {message} with {fields}: {service.log.getvalue()}")


async def test_a_dead_provider_is_explained_by_its_attempt_and_by_the_check_up(
    tmp_path: Path,
) -> None:
    async with serve(Answer()) as server:
        url = server.url
    settings = configuration(url, breaker={"failures": 2})
    async with running(tmp_path, settings, users=[ADA]) as service:
        before = (await service.client.get("/-/check-up")).json()
        await service.client.post("/send", json=send())
        after = (await service.client.get("/-/check-up")).json()
    why = "sms-service: connection refused"
    attempt = line(service, "attempt ended", provider="sms-service", kind="refused", why=why)
    assert attempt["status"] is None
    assert line(service, "breaker moved", state="open", kind="refused", failures=2)["why"] == why
    assert (
        line(service, "delivery ended", outcome="failed", kind="refused")["reason"] == "exhausted"
    )
    assert before["neighbours"]["sms-service"] == why
    assert after["neighbours"]["sms-service"].startswith(why)
    assert after["status"] == "KO"


async def test_wrong_credentials_are_explained_by_status_and_words(tmp_path: Path) -> None:
    answer = Answer(401, b'{"message": "Authentication failed"}')
    async with serve(answer) as server:
        async with running(tmp_path, configuration(server.url), users=[ADA]) as service:
            assert (await service.client.get("/-/check-up")).json()["status"] == "OK"
            await service.client.post("/send", json=send())
            check_up = (await service.client.get("/-/check-up")).json()
    why = "sms-service answered 401: Authentication failed"
    assert line(service, "attempt ended", kind="http-4xx", status=401)["why"] == why
    assert line(service, "delivery ended", kind="http-4xx", status=401)["why"] == why
    assert check_up["message"].startswith(f"sms-service: {why} (")


async def test_what_a_message_was_refused_for_is_no_fault_of_the_provider(tmp_path: Path) -> None:
    async with serve(Answer(400, b'{"message": "no such number"}')) as server:
        async with running(tmp_path, configuration(server.url), users=[ADA]) as service:
            await service.client.post("/send", json=send())
            check_up = (await service.client.get("/-/check-up")).json()
    assert check_up["neighbours"]["sms-service"] == "OK"


async def test_throttling_is_explained_with_its_length(tmp_path: Path) -> None:
    async with serve(Answer(429, b"{}", {"Retry-After": "1"})) as server:
        async with running(tmp_path, configuration(server.url), users=[ADA]) as service:
            await service.client.post("/send", json=send())
    throttled = line(service, "provider throttled", provider="sms-service")
    assert (throttled["seconds"], throttled["why"]) == (1.0, "sms-service answered 429")
    assert line(service, "attempt ended", result="throttled")["status"] == 429


async def test_a_refused_saga_is_explained_by_its_key_and_reason(tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        await at.command("S-1", {"channels": "pigeon", "recipients": SECRET, "title": SECRET})
        service = at.around.service
        refused = line(service, "saga command refused", sagaKey="S-1")
        (event,) = (await service.client.get("/events")).json()["events"]
    assert str(refused["why"]).startswith("channels[0] must be one of")
    assert event["refusal"] == refused["why"]
    request = line(service, "request completed", **{"http.response.statusCode": 400})
    assert request["why"] == refused["why"]
    assert SECRET not in service.log.getvalue()


@pytest.mark.servers
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit")
async def test_a_full_disk_is_explained_once_by_the_system(tmp_path: Path) -> None:
    heard = bytearray()
    config = sandbox_configuration()
    async with heard_process(tmp_path, config, [ADA], heard.extend, {}) as (it, url):
        resource.prlimit(it.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            answer = await client.post("/send", json=send())
            with trio.fail_after(30):
                while b"store cannot be written" not in heard:
                    answer = await client.post("/send", json=send())
                    await trio.sleep(0.1)
            ready = await client.get("/-/ready")
            await trio.sleep(2)
        it.send_signal(signal.SIGKILL)
        await it.wait()
    lines = [json.loads(one) for one in heard.decode().splitlines()]
    (told,) = [one for one in lines if one["msg"] == "store cannot be written"]
    assert told["why"]
    assert told["store"].endswith("carillon.db")
    assert (answer.status_code, ready.status_code) == (503, 503)
    assert told["why"] in ready.json()["message"]


REFUSED: list[tuple[str, Document, str]] = [
    ("/send", {"channels": [SECRET], "recipients": ["ada"]}, "channels[0] must be one of"),
    ("/send", {"channels": ["sms"], "recipients": ["ada"], "templateId": SECRET}, "The template"),
    (
        "/send",
        {
            "channels": ["email"],
            "recipients": ["ada"],
            "emailAttachments": [SECRET],
            "messageTitle": "t",
            "messageContent": "c",
        },
        "An attachment cannot be fetched",
    ),
    (
        "/send",
        {
            "channels": ["sms"],
            "recipients": ["ada"],
            "messageTitle": "t",
            "messageContent": "{{#if " + SECRET,
        },
        "Syntax error in smsMessage",
    ),
    ("/dispatches/d/redrive", {SECRET: 1}, "An unknown filter"),
    ("/providers/sms-sandbox", {SECRET: SECRET}, "An unknown key"),
]


@pytest.mark.parametrize(("path", "body", "why"), REFUSED)
async def test_a_refused_request_says_why_and_nothing_that_it_held(
    path: str, body: Document, why: str, tmp_path: Path
) -> None:
    method = "PATCH" if path.startswith("/providers") else "POST"
    async with running(tmp_path, users=[ADA]) as service:
        answer = await service.client.request(method, path, json=body)
        assert answer.status_code in {400, 404}
        assert SECRET in answer.text or why.startswith("channels")
    completed = line(service, "request completed", **{"url.path": path})
    assert str(completed["why"]).startswith(why)
    assert SECRET not in service.log.getvalue()


def send() -> Document:
    return {
        "channels": ["sms"],
        "recipients": ["ada"],
        "messageTitle": "t",
        "messageContent": "c",
    }
