"""API keys over a whole service: asked for before a body is read, exchanged, and never logged."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import trio

from carillon.access.keys import ApiKey, Scope, draw_key
from carillon.messages.model import Document
from carillon.settings import key_record
from tests.cli.command_line import script
from tests.running import Running, running

ADA: Document = {"_id": "ada", "emailAddress": "ada@example.com"}
SEND, SEND_KEY = draw_key("shop", ["send"])
READ, READ_KEY = draw_key("desk", ["read"])
BODY = {"channels": ["email"], "recipients": ["ada"], "messageTitle": "T", "messageContent": "C"}


def with_keys(*keys: ApiKey) -> dict[str, str]:
    return {"API_KEYS": json.dumps([key_record(key) for key in keys])}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_message_needs_a_key_that_may_send(tmp_path: Path) -> None:
    environ = with_keys(SEND_KEY, READ_KEY)
    async with running(tmp_path, users=[ADA], environ=environ) as service:
        without = await service.client.post("/send", json=BODY)
        reader = await service.client.post("/send", json=BODY, headers=bearer(READ))
        assert (without.status_code, reader.status_code) == (401, 403)
        assert service.sent == []
        sent = await service.client.post("/send", json=BODY, headers=bearer(SEND))
        assert (sent.status_code, sent.json()) == (200, {"failures": []})
        assert len(service.sent) == 1
        one = f"/dispatches/{sent.headers['Dispatch-Id']}"
        seen = await service.client.get(one, headers=bearer(READ))
        assert seen.json()["counts"]["sent"] == 1
        assert (await service.client.get(one, headers=bearer(SEND))).status_code == 403


async def test_with_keys_only_the_probes_ask_for_none(tmp_path: Path) -> None:
    async with running(tmp_path, environ=with_keys(READ_KEY)) as service:
        for path in ("/-/healthz", "/-/ready", "/-/check-up"):
            assert (await service.client.get(path)).status_code == 200
            wrong = await service.client.get(path, headers={"Authorization": "nonsense"})
            assert wrong.status_code == 200
        for path in ("/-/metrics", "/documentation/", "/documentation/json"):
            assert (await service.client.get(path)).status_code == 401
            assert (await service.client.get(path, headers=bearer(READ))).status_code == 200
        assert (await service.client.get("/nowhere")).status_code == 401
        assert (await service.client.get("/nowhere", headers=bearer(READ))).status_code == 404


async def test_without_keys_a_message_needs_none_in_a_cluster_either(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "WAIT_BEFORE_SERVER_CLOSE_SEC": "0"}
    async with running(tmp_path, users=[ADA], environ=environ) as service:
        forwarded = {"X-Forwarded-For": "192.0.2.7", "Host": "carillon.example"}
        port = urlsplit(service.url).port
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            sent = await client.post("/send", json=BODY, headers=forwarded)
            assert sent.status_code == 200
            seen = await client.get(f"/dispatches/{sent.headers['Dispatch-Id']}", headers=forwarded)
            assert seen.status_code == 200


async def raw_answer(service: Running, request: bytes) -> tuple[bytes, bytes]:
    """Head, in lower case, and body of the answer to bytes after which nothing more is sent."""
    stream = await trio.open_tcp_stream("127.0.0.1", urlsplit(service.url).port or 0)
    async with stream:
        await stream.send_all(request)
        answer = b""
        with trio.fail_after(5):
            while True:
                answer += await stream.receive_some()
                head, _, body = answer.partition(b"\r\n\r\n")
                length = re.search(rb"content-length: ([0-9]+)", head.lower())
                if length is not None and len(body) == int(length[1]):
                    return head.lower(), body


@pytest.mark.parametrize("token", [None, READ], ids=["no key", "wrong scope"])
@pytest.mark.parametrize("length", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
async def test_who_is_refused_is_not_listened_to(
    tmp_path: Path, token: str | None, length: str
) -> None:
    head = ["POST /send HTTP/1.1", "Host: localhost", "Content-Type: application/json", length]
    if token is not None:
        head.append(f"Authorization: Bearer {token}")
    async with running(tmp_path, environ=with_keys(SEND_KEY, READ_KEY)) as service:
        answer, _ = await raw_answer(service, "\r\n".join([*head, "", ""]).encode())
    assert answer.startswith(b"http/1.1 401" if token is None else b"http/1.1 403")
    assert b"\r\nconnection: close" in answer


@pytest.mark.parametrize("value", [b"Bearer \xff\xfe", b"\xc3\xa9" * 1000, b"Bearer a.\x7fb"])
async def test_hostile_headers_are_refused_in_the_error_shape(tmp_path: Path, value: bytes) -> None:
    request = b"GET /documentation/json HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\n\r\n"
    async with running(tmp_path, environ=with_keys(READ_KEY)) as service:
        head, body = await raw_answer(service, request % value)
        [line] = [one for one in service.log_lines if one["msg"] == "request completed"]
    assert head.startswith(b"http/1.1 401")
    assert json.loads(body)["statusCode"] == "401"
    assert (line["level"], line["caller"]) == (30, None)


async def test_logs_name_the_key_and_never_show_one(tmp_path: Path) -> None:
    impostor, _ = draw_key("shop", ["send"])
    async with running(tmp_path, users=[ADA], environ=with_keys(SEND_KEY)) as service:
        for token in (SEND, impostor, "shop", "shop." + "A" * 60):
            await service.client.post("/send", json=BODY, headers=bearer(token))
        text = service.log.getvalue()
        lines = [line for line in service.log_lines if line["msg"] == "request completed"]
    assert [(line["http.response.statusCode"], line["caller"]) for line in lines] == [
        (200, "shop"),
        (401, None),
        (401, None),
        (401, None),
    ]
    for token in (SEND, impostor):
        assert token.partition(".")[2] not in text
    for hidden in ("Bearer", "A" * 20, SEND_KEY.hash.hex(), SEND_KEY.salt.hex()):
        assert hidden not in text


async def made(folder: Path, *scopes: Scope) -> str:
    """A key from the command line, whose record is in keys.json then."""
    words = [word for scope in scopes for word in ("--scope", scope)]
    result = await script(folder, "keys", "new", *words, "--file", "keys.json", "--json")
    assert result.returncode == 0, result.stderr
    return str(json.loads(result.stdout)["key"])


async def test_the_command_line_makes_the_key_it_sends_with(tmp_path: Path) -> None:
    token = await made(tmp_path, "send", "read")
    environ = {"API_KEYS_FILE": str(tmp_path / "keys.json")}
    async with running(tmp_path, users=[ADA], environ=environ) as service:
        words = ("send", "--channel", "email", "--to", "ada", "--title", "T", "--text", "C")
        address = {"CARILLON_URL": service.url}
        sent = await script(tmp_path, *words, environ={**address, "CARILLON_API_KEY": token})
        assert sent.returncode == 0, sent.stderr
        assert b"1 sent" in sent.stdout
        without = await script(tmp_path, *words, environ=address)
    assert without.returncode == 2
    assert b"401: An API key is missing" in without.stderr
    assert b"CARILLON_API_KEY" in without.stderr
